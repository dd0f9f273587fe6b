package launch_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/sandbox"
)

// command is the test binary as `stack`, on roots below dir.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), stacktest.AsCommand+"=1", "STACK_IDLE=200ms",
		"STACK_STATE_ROOT="+filepath.Join(dir, "state"), "STACK_RUN_ROOT="+filepath.Join(dir, "run"), "COMPOSE_PROJECT_NAME=shop")
	cmd.Dir = dir
	return cmd
}

// Many commands at once start one daemon, all are answered by it, and when nobody asks any more it leaves and takes all
// of the run root with it.
func TestManyCommandsStartOneDaemon(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			out, err := command(dir, "ps", "-q").CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "1234" {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	log, err := os.ReadFile(filepath.Join(dir, "state", "daemon.log"))
	if err != nil || strings.Count(string(log), "msg=ready") != 1 {
		t.Errorf("%v, daemon.log:\n%s", err, log)
	}
	runRootGoes(t, dir)
}

// runRootGoes waits for the daemon of dir to leave, and its run root with it.
func runRootGoes(t *testing.T, dir string) {
	t.Helper()
	sandbox.Eventually(t, "the run root is gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "run"))
		return os.IsNotExist(err)
	})
}

// Commands that come while daemons leave are never lost: idle is so short here that they all but meet.
func TestCommandsMeetALeavingDaemon(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				cmd := command(dir, "ps", "-q")
				cmd.Env = append(cmd.Env, "STACK_IDLE=1ms")
				out, err := cmd.CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != "1234" {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	wg.Wait()
	runRootGoes(t, dir)
}

// After SIGKILL a socket and a lock file are left; the next command is not deterred.
func TestKilledDaemonIsReplaced(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	for range 2 {
		cmd := command(dir, "ps", "-q")
		cmd.Env = append(cmd.Env, "STACK_IDLE=1h")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		pid := daemonPid(t, dir)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		sandbox.Eventually(t, "the daemon is dead", func() bool { return unix.Kill(pid, 0) != nil })
		if _, err := os.Stat(filepath.Join(dir, "run", "stack.sock")); err != nil {
			t.Fatal("the test shows nothing:", err)
		}
	}
}

func TestDaemonThatCannotStartSaysWhy(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("dns: [1.1.1.1, nonsense]\nsurprise: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := command(dir, "--config", filepath.Join(dir, "bad.yaml"), "ps").CombinedOutput()
	code := err.(*exec.ExitError).ExitCode()
	for _, want := range []string{"cannot start the stack daemon", "bad.yaml:1:16: dns:", "bad.yaml:2:1:", `unknown key "surprise"`} {
		if code != 1 || !strings.Contains(string(out), want) {
			t.Errorf("code %d, no %q in\n%s", code, want, out)
		}
	}
}

func TestSecondDaemonIsRefusedAndTermEndsTheFirst(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	first := command(dir, "daemon")
	var log stacktest.Text
	first.Stderr = &log
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	sandbox.Eventually(t, "the daemon answers", func() bool { return strings.Contains(log.String(), "msg=ready") })
	out, err := command(dir, "daemon").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another stack daemon runs on these roots") {
		t.Errorf("a second one: %v, %s", err, out)
	}
	if got := daemonPid(t, dir); got != first.Process.Pid {
		t.Errorf("pid %d answers, started %d", got, first.Process.Pid)
	}
	if err := first.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("ended with %v:\n%s", err, log.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); !os.IsNotExist(err) {
		t.Error("the run root is still there:", err)
	}
}

func TestNotRootIsTold(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// Where go test puts the test binary only root can go.
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stack")
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ps"}, {"daemon"}} {
		cmd := command(dir, args...)
		cmd.Path = path
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "need root") {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}

func daemonPid(t *testing.T, dir string) int {
	t.Helper()
	c := client.New(filepath.Join(dir, "run", "stack.sock"), stacktest.Version)
	v, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(fmt.Errorf("no daemon answers: %w", err))
	}
	return v.Pid
}
