package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
	"github.com/stackrun/stack/runtime/initprog"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needProgram fails the test, and does not skip it, when the init program is not embedded.
func needProgram(t testing.TB) {
	t.Helper()
	f, err := initprog.Open()
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the init program is not embedded: run `make init` before these tests")
	}
	must(t, err)
	f.Close()
}

// host is one pair of roots and a Driver on it, in the sandbox.
type host struct {
	t     testing.TB
	roots roots.Roots
	*runtime.Driver
	image   string
	notices []string // of every Driver, see Options.Notice
}

// newHost makes roots and a Driver, and checks at the end that nothing is left of either.
func newHost(t testing.TB) *host {
	t.Helper()
	sandbox.Require(t)
	needProgram(t)
	image := busyboxImage(t) // before the snapshot: it stays for other tests
	dir, err := os.MkdirTemp("/run", "runtime-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	sandbox.LeavesNothing(t)
	h := &host{t: t, roots: roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}, image: image}
	h.Driver = h.driver()
	t.Cleanup(h.sweep)
	return h
}

// driver is one more Driver on the same roots.
func (h *host) driver() *runtime.Driver {
	h.t.Helper()
	d, err := runtime.New(h.t.Context(), runtime.Options{Roots: h.roots, Notice: func(text string) { h.notices = append(h.notices, text) }})
	must(h.t, err)
	return d
}

// sweepContainers removes every container.
func (h *host) sweepContainers() {
	h.t.Helper()
	ctx := context.Background()
	list, err := h.List(ctx)
	if err != nil {
		h.t.Error(err)
	}
	for _, s := range list {
		if _, err := h.Stop(ctx, s.ID, 0); err != nil {
			h.t.Error(err)
		}
		if err := h.Delete(ctx, s.ID); err != nil {
			h.t.Error(err)
		}
	}
}

// sweep removes every container and checks that their directories are gone too.
func (h *host) sweep() {
	h.t.Helper()
	h.sweepContainers()
	if err := h.Close(); err != nil {
		h.t.Error(err)
	}
	for _, dir := range []string{h.roots.InState("containers"), h.roots.InRun("containers")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			h.t.Error(err)
		}
		for _, e := range entries {
			h.t.Errorf("left behind: %s/%s", dir, e.Name())
		}
	}
}

var (
	imageOnce sync.Once
	imageDir  string
	imageErr  error
)

// busyboxImage is a root file system that tests share; each container has an overlay on it.
func busyboxImage(t testing.TB) string {
	t.Helper()
	busybox := sandbox.Tool(t, "busybox")
	imageOnce.Do(func() {
		imageDir = "/run/busybox-image"
		for _, d := range []string{"bin", "etc", "dev", "proc", "sys", "tmp", "run", "root"} {
			if imageErr = os.MkdirAll(filepath.Join(imageDir, d), 0o755); imageErr != nil {
				return
			}
		}
		var b []byte
		if b, imageErr = os.ReadFile(busybox); imageErr != nil {
			return
		}
		imageErr = errors.Join(
			os.WriteFile(filepath.Join(imageDir, "bin/busybox"), b, 0o755),
			os.WriteFile(filepath.Join(imageDir, "bin/notexec"), []byte("data"), 0o644),
			os.WriteFile(filepath.Join(imageDir, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n"), 0o644),
			os.WriteFile(filepath.Join(imageDir, "etc/group"), []byte("root:x:0:\nweb:x:1001:\n"), 0o644),
		)
		for _, n := range strings.Fields("sh cat ls id echo sleep true false touch stat tty stty env readlink kill ps seq head dd wc tr grep tail mkfifo printf yes sync") {
			imageErr = errors.Join(imageErr, os.Symlink("busybox", filepath.Join(imageDir, "bin", n)))
		}
	})
	must(t, imageErr)
	return imageDir
}

var serial atomic.Int64

// config is a container that runs args in busybox.
func (h *host) config(args ...string) runtime.Config {
	h.t.Helper()
	id := fmt.Sprintf("%064x", serial.Add(1))
	snap := h.roots.InState("snapshots", id)
	for _, d := range []string{"upper", "work"} {
		must(h.t, os.MkdirAll(filepath.Join(snap, d), 0o755))
	}
	spec := basespec.New()
	spec.Process.Args = args
	return runtime.Config{
		ID: id, Spec: spec, Labels: map[string]string{"test": h.t.Name()},
		Root: []mount.Mount{{Type: "overlay", Target: "/", Lower: []string{h.image}, Upper: filepath.Join(snap, "upper"), Work: filepath.Join(snap, "work")}},
		Log:  runtime.LogConfig{Path: h.roots.InState("logs", id+".log")},
	}
}

// sh is a container that runs a script.
func (h *host) sh(script string) runtime.Config {
	h.t.Helper()
	return h.config("/bin/sh", "-c", script)
}

// up creates and starts c.
func (h *host) up(c runtime.Config) runtime.State {
	h.t.Helper()
	_, err := h.Create(h.t.Context(), c)
	must(h.t, err)
	s, err := h.Start(h.t.Context(), c.ID)
	must(h.t, err)
	return s
}

// wait is the exit of id, within a limit.
func (h *host) wait(id string) process.Exit {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), sandbox.Patience)
	defer cancel()
	x, err := h.Wait(ctx, id)
	must(h.t, err)
	return x
}

// log is what the container wrote, without the log's own columns.
func (h *host) log(c runtime.Config) string {
	h.t.Helper()
	b, err := os.ReadFile(c.Log.Path)
	must(h.t, err)
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if f := strings.SplitN(line, " ", 4); len(f) == 4 {
			out.WriteString(f[3])
		}
	}
	return out.String()
}

// eventuallyLog waits for text in the container's log.
func (h *host) eventuallyLog(c runtime.Config, text string) {
	h.t.Helper()
	sandbox.Eventually(h.t, fmt.Sprintf("%q in the log", text), func() bool {
		b, err := os.ReadFile(c.Log.Path)
		return err == nil && strings.Contains(string(b), text)
	})
}

// buffer is a writer that tests read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
