package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/registry"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/internal/testimage"
)

func TestMain(m *testing.M) {
	os.Exit(sandbox.Main(m))
}

// patience bounds every wait; it is for slow machines, and never slept through.
var patience = sandbox.Patience

// host is one instance of stack: roots, configuration, a daemon.
type host struct {
	dir      string
	bin      string
	env      []string
	registry *registry.Handler
	daemon   *exec.Cmd
	links    int           // that the machine had before
	log      string        // the daemon's stderr
	ended    chan struct{} // closed when the daemon that startDaemon started has ended
}

var shared struct {
	once sync.Once
	host *host
	dir  string
}

// theHost is the instance that tests share. Its daemon lives until the test process ends, which ends the sandbox.
func theHost(t *testing.T) *host {
	t.Helper()
	binary(t)
	testimage.Require(t)
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "e2e-*")
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(t, dir)
		h.startDaemon(t)
		h.warmUp(t)
		shared.host = h
	})
	if shared.host == nil {
		t.Fatal("the shared daemon did not start, see the first test")
	}
	return shared.host
}

// warmUp brings a project up and down, for what an instance makes once and keeps (TestLeavesNothing says what that may be).
func (h *host) warmUp(t *testing.T) {
	t.Helper()
	// What an earlier test has left is that test's failure.
	before, err := sandbox.Take()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.dir, "warmup")
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n")
	for _, args := range [][]string{{"up", "--detach"}, {"down", "--volumes", "--timeout", "0"}} {
		if r := h.exec(t, dir, "", nil, args...); r.code != 0 {
			t.Fatalf("%s\nthe daemon's log:\n%s", r, h.daemonLog(20))
		}
	}
	// down need not wait for the kernel to take links down.
	sandbox.Eventually(t, "the warm-up's network is gone", func() bool {
		s, err := sandbox.Take(h.run("network", "networks"))
		return err == nil && len(s.Links) <= len(before.Links) && len(s.Files) <= 1
	})
}

// ownHost is an instance for t alone, without a daemon: the first command starts one, or startDaemon does. When it has ended,
// nothing of it may be left in the kernel.
func ownHost(t *testing.T) *host {
	t.Helper()
	binary(t)
	sandbox.LeavesNothing(t)
	h := newHost(t, t.TempDir())
	t.Cleanup(func() {
		h.endDaemon(t)
		if slices.ContainsFunc(h.env, func(kv string) bool { return strings.HasPrefix(kv, "STACK_IDLE=") }) {
			// One that the last command started: it looks after its directories, which go next.
			sandbox.Eventually(t, "the daemon leaves when it has nothing to do", func() bool { return !h.served() })
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", h.daemonLog(40))
		}
	})
	return h
}

// served says whether a daemon of h runs.
func (h *host) served() bool {
	s, err := sandbox.Take()
	return err != nil || slices.ContainsFunc(s.Processes, func(p string) bool { return strings.Contains(p, h.state()) })
}

// binary is the program under test. Without it tests are skipped, or fail where STACK_TEST_MUST says "root".
func binary(t *testing.T) string {
	t.Helper()
	sandbox.Require(t)
	bin := os.Getenv("STACK_TEST_BIN")
	if bin == "" {
		if sandbox.Must("root") {
			t.Fatal("STACK_TEST_BIN does not name the binary to test")
		}
		t.Skip("SKIP: STACK_TEST_BIN does not name the binary to test; `make test` builds it and sets that")
	}
	return bin
}

func newHost(t *testing.T, dir string) *host {
	t.Helper()
	h := &host{dir: dir, bin: binary(t), log: filepath.Join(dir, "daemon.log")}
	config := "{}\n"
	if cache := testimage.Require(t); cache != "" {
		// Not registry.Serve: the shared host's registry outlives the test that makes it.
		reg, url, err := registry.Listen(cache)
		if err != nil {
			t.Fatal(err)
		}
		h.registry = reg
		config = fmt.Sprintf("registries:\n  mirrors:\n    docker.io: [%q]\n", url)
	}
	write(t, filepath.Join(dir, "config.yaml"), config)
	h.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"LANG=C.UTF-8",
		"GORACE=" + os.Getenv("GORACE"), // of `make test-race`
		"STACK_STATE_ROOT=" + h.state(),
		"STACK_RUN_ROOT=" + h.run(),
		"STACK_CONFIG=" + filepath.Join(dir, "config.yaml"),
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	h.links = len(links)
	return h
}

// configure adds a line to the configuration of a daemon that does not run yet.
func (h *host) configure(t *testing.T, line string) {
	t.Helper()
	path := filepath.Join(h.dir, "config.yaml")
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.TrimPrefix(string(have), "{}\n")+line+"\n")
}

func (h *host) state(elem ...string) string {
	return filepath.Join(append([]string{h.dir, "state"}, elem...)...)
}
func (h *host) run(elem ...string) string {
	return filepath.Join(append([]string{h.dir, "run"}, elem...)...)
}

// startDaemon starts `stack daemon` and waits until it answers.
func (h *host) startDaemon(t *testing.T) {
	t.Helper()
	if !h.tryDaemon(t) {
		t.Fatalf("the daemon ended at once:\n%s", h.daemonLog(40))
	}
}

// tryDaemon is startDaemon with more in the daemon's environment, of a daemon that may be killed before it listens: false
// then.
func (h *host) tryDaemon(t *testing.T, env ...string) bool {
	t.Helper()
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(h.bin, "daemon")
	cmd.Env = append(slices.Clone(h.env), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.daemon = cmd
	exited := make(chan struct{})
	h.ended = exited
	go func() { cmd.Wait(); close(exited) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if h.answers() {
			return true
		}
		select {
		case <-tick.C:
		case <-exited:
			h.daemon = nil
			return false
		case <-deadline:
			t.Fatalf("the daemon does not listen after %s:\n%s", patience, h.daemonLog(40))
		}
	}
}

// answers says whether a daemon answers. That the socket is there says nothing, a killed one leaves it; nor does a connection: a child that the killed one was just
// starting has the listener until its execve.
func (h *host) answers() bool {
	conn, err := net.Dial("unix", h.run("stack.sock"))
	if err != nil {
		return false
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return false
	}
	n, _ := conn.Read(make([]byte, 1))
	return n == 1
}

// killDaemon ends the daemon that startDaemon started, as a crash would, if it still runs.
func (h *host) killDaemon(t *testing.T) {
	t.Helper()
	if h.daemon == nil {
		return
	}
	h.daemon.Process.Signal(syscall.SIGKILL)
	pid := h.daemon.Process.Pid
	sandbox.Eventually(t, "the killed daemon is gone", func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
	h.daemon = nil
}

// endDaemon ends the daemon that startDaemon started, as systemd would, if it still runs.
func (h *host) endDaemon(t *testing.T) {
	t.Helper()
	if h.daemon == nil {
		return
	}
	h.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.ended:
	case <-time.After(patience):
		t.Errorf("the daemon does not end when it is told to; what it does:\n%s", h.stacks(t))
	}
	h.daemon = nil
}

// result is how a command ended.
type result struct {
	args           []string
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("stack %s: exit code %d\nstdout:\n%s\nstderr:\n%s", strings.Join(r.args, " "), r.code, r.stdout, r.stderr)
}

// command is a command to be, for tests that feed it, signal it or read it while it runs.
func (h *host) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.bin, args...)
	cmd.Dir = dir
	cmd.Env = h.env
	cmd.WaitDelay = patience
	return cmd
}

// exec runs a command to its end.
func (h *host) exec(t *testing.T, dir, stdin string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	cmd := h.command(ctx, dir, args...)
	cmd.Env = append(cmd.Env, env...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{args: args, stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("not at its end after %s: %s\nwhat the daemon does:\n%s", 4*patience, r, h.stacks(t))
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", r, err)
	}
	return r
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// daemonLog is the last lines that a daemon of h has written, for messages.
func (h *host) daemonLog(lines int) string {
	if _, err := os.Stat(h.log); err != nil {
		return tail(h.state("daemon.log"), lines) // of one that a command has started
	}
	return tail(h.log, lines)
}

// stacks ends the daemons of h, which hang, and returns what their goroutines wait for.
func (h *host) stacks(t *testing.T) string {
	t.Helper()
	for _, pid := range processes(t, func(c string) bool { return strings.Contains(c, " daemon") && strings.Contains(c, h.state()) }) {
		syscall.Kill(pid, syscall.SIGQUIT) //nolint:errcheck // it is waited for
	}
	sandbox.Eventually(t, "a daemon that was sent SIGQUIT ends", func() bool { return !h.served() })
	return h.daemonLog(2000)
}

// tail is the last lines of a file, for messages.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// get fetches url on a connection of its own. Its bound is for connections that a test has cut: who waits for an answer asks again.
func get(url string) (int, string, http.Header, error) {
	client := &http.Client{Timeout: patience / 2, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), resp.Header, err
}
