package main

import (
	"bytes"
	"context"
	"fmt"
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
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
)

// asStack makes the test binary be the command, with an engine that has nothing: what the command starts by
// /proc/self/exe is this binary too.
const asStack = "STACK_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asStack) != "" {
		run := cli.New(cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: cli.OfProcess(), Version: version, Linked: inside})
		os.Exit(execute(run, os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "daemon" { // a command within a test that found no daemon: this binary would run the tests again
		fmt.Fprintln(os.Stderr, "this is a test: it has no daemon that a command could start")
		os.Exit(1)
	}
	os.Exit(sandbox.Main(m))
}

// inside is a daemon in this process, with an engine that has nothing.
var inside = &launch.Linked{
	Daemon: func(ctx context.Context, o options.Options) error {
		p := daemon.Process{Options: o, Version: version, Log: os.Stderr, Open: emptyEngine}
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

// text is a buffer for output that several goroutines write.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// person is somebody in a directory with a Compose file and a daemon that has engine.
type person struct {
	t    *testing.T
	dir  string
	env  map[string]string
	in   *os.File
	last *cli.Run
}

const shop = `
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

func newPerson(t *testing.T, engine server.Engine) *person {
	t.Helper()
	dir := t.TempDir()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	u := &person{t: t, dir: dir, in: in, env: map[string]string{
		"STACK_RUN_ROOT": filepath.Join(dir, "run"), "STACK_STATE_ROOT": filepath.Join(dir, "state"),
		"COMPOSE_PROJECT_NAME": "shop", "COMPOSE_FILE": filepath.Join(dir, "compose.yaml"),
	}}
	u.write("compose.yaml", shop)
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
	s := server.New(engine, server.Options{Version: api.Version{Version: version, Pid: 42}, Group: -1})
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

func (u *person) write(name, content string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(content), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// run types a command line: words apart by spaces.
func (u *person) run(line string) (code int, stdout, stderr string) {
	u.t.Helper()
	return u.args(strings.Fields(line)...)
}

// args is run for words that are apart already.
func (u *person) args(words ...string) (code int, stdout, stderr string) {
	u.t.Helper()
	var out text
	code, stderr = u.into(&out, words...)
	return code, out.String(), stderr
}

// into is args with stdout being out.
func (u *person) into(out io.Writer, words ...string) (code int, stderr string) {
	u.t.Helper()
	var errs text
	u.last = cli.New(cli.Options{In: u.in, Out: out, Err: &errs, Env: maps.Clone(u.env), Version: version, Linked: inside})
	u.t.Cleanup(u.last.Interrupts.Stop)
	code = execute(u.last, words)
	return code, errs.String()
}

// nobody has typed anything.
func nobody() *cli.Run { return cli.New(cli.Options{Env: cli.Environment{}}) }
