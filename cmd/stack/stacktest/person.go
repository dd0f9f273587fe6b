// Package stacktest is for tests of the command: somebody who types lines, at a terminal or not, and the daemon that answers.
package stacktest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/daemon"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/inquiry/answer"
	"github.com/stackrun/stack/cmd/stack/launch"
	"github.com/stackrun/stack/cmd/stack/root"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
)

// AsCommand makes the test binary be the command, with an engine that has nothing: what the command starts by
// /proc/self/exe is this binary too.
const AsCommand = "STACK_TEST_AS_COMMAND"

// inside is a daemon in this process, with an engine that has nothing.
var inside = &launch.Linked{
	Daemon: func(ctx context.Context, o options.Options) error {
		p := daemon.Process{Options: o, Version: Version, Log: os.Stderr, Open: emptyEngine}
		return p.Run(ctx)
	},
	Answer: answer.Of,
}

func emptyEngine(context.Context, daemon.Setting) (daemon.Opened, error) {
	e := &apitest.Engine{OnContainers: func(context.Context, string) ([]ask.Container, error) {
		return []ask.Container{{Name: "shop-web-1", Service: "web", State: "running", ID: "1234"}}, nil
	}}
	return daemon.Opened{Engine: e, Close: func(context.Context) error { return nil }}, nil
}

// Text is a buffer for output that several goroutines write.
type Text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// Person is somebody in a directory with a Compose file and a daemon that has engine.
type Person struct {
	t   *testing.T
	Dir string
	Env map[string]string
	in  *os.File
}

// Shop is the Compose file of most tests: web needs db, and batch is of a profile.
const Shop = `
services:
  web:
    image: nginx
    depends_on: [db]
  db:
    image: postgres
  batch:
    image: busybox
    profiles: [tools]
`

// NewPerson is somebody in a directory of the test's own, with the file Shop. engine nil: there is no daemon.
func NewPerson(t *testing.T, engine server.Engine) *Person {
	t.Helper()
	dir := t.TempDir()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	u := &Person{t: t, Dir: dir, in: in, Env: map[string]string{
		"STACK_RUN_ROOT": filepath.Join(dir, "run"), "STACK_STATE_ROOT": filepath.Join(dir, "state"),
		"COMPOSE_PROJECT_NAME": "shop", "COMPOSE_FILE": filepath.Join(dir, "compose.yaml"),
	}}
	u.Write("compose.yaml", Shop)
	if engine == nil {
		return u
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(filepath.Join(dir, "run", "stack.sock"), -1)
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(engine, server.Options{Version: api.Version{Version: Version, Pid: 42}, Group: -1})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return u
}

// Write writes a file of the directory.
func (u *Person) Write(name, content string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.Dir, name), []byte(content), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// Run types a command line: words apart by spaces.
func (u *Person) Run(line string) (code int, stdout, stderr string) {
	u.t.Helper()
	return u.Args(strings.Fields(line)...)
}

// Args is run for words that are apart already.
func (u *Person) Args(words ...string) (code int, stdout, stderr string) {
	u.t.Helper()
	var out Text
	code, stderr = u.Into(&out, words...)
	return code, out.String(), stderr
}

// Into is args with stdout being out.
func (u *Person) Into(out io.Writer, words ...string) (code int, stderr string) {
	u.t.Helper()
	var errs Text
	run := cli.New(cli.Options{In: u.in, Out: out, Err: &errs, Env: maps.Clone(u.Env), Version: Version, Linked: inside})
	u.t.Cleanup(run.Interrupts.Stop)
	code = root.Execute(run, words)
	return code, errs.String()
}

// Squeezed is text with one space where there are several.
func Squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }

// Wants fails the test when a part is not in got, what what has said.
func Wants(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("%s: %q lacks %q", what, got, p)
		}
	}
}

// Ending is how a command ends, and something that it says.
type Ending struct {
	Code int
	Want string
}

// Tells runs each line and compares its end.
func (u *Person) Tells(lines map[string]Ending) {
	u.t.Helper()
	for line, tt := range lines {
		if code, out, errs := u.Run(line); code != tt.Code || !strings.Contains(out+errs, tt.Want) {
			u.t.Errorf("stack %s: code %d, %q, %q; want %d, %q", line, code, out, errs, tt.Code, tt.Want)
		}
	}
}

// Version is the version of the command and of its daemon.
const Version = "0.1.0-test"
