package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// stubborn says ready, and bye when it is to stop; deaf does not stop for anything less than a SIGKILL.
const (
	stubborn = `["sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 1 & wait $$!; done"]`
	deaf     = `["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]`
)

// TestAttachedUp: output with prefixes; Ctrl-C and SIGTERM stop gracefully with 130, as docker compose does.
func TestAttachedUp(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			p := compose(t, "attached", "services:\n  app:\n    image: busybox\n    command: "+stubborn+"\n")
			out := p.begin("up", "--no-color").says("app-1  | ready\n").signal(s).ends(130)
			contains(t, "output", out, "app-1  | bye\n", "Gracefully")
			equal(t, "state", p.one("attached-app-1").State, "exited")
			equal(t, "exit code of the container", fmt.Sprint(p.one("attached-app-1").ExitCode), "0")
		})
	}
}

// TestAttachedUpOfOne: Ctrl-C stops the services that up names, and leaves what they depend on.
func TestAttachedUpOfOne(t *testing.T) {
	p := compose(t, "named", "services:\n  app:\n    image: busybox\n    command: "+stubborn+"\n    depends_on: [db]\n  db:\n    image: busybox\n    command: "+stubborn+"\n")
	p.begin("up", "--no-color", "app").says("app-1  | ready\n").signal(syscall.SIGINT).ends(130)
	equal(t, "app", p.one("named-app-1").State, "exited")
	equal(t, "db", p.one("named-db-1").State, "running")
}

// TestAttachedUpTwice: a second Ctrl-C does not wait for the grace period.
func TestAttachedUpTwice(t *testing.T) {
	p := compose(t, "twice", "services:\n  app:\n    image: busybox\n    command: "+deaf+"\n    stop_grace_period: 1h\n")
	p.begin("up", "--no-color").says("app-1  | ready\n").signal(syscall.SIGINT).says("Gracefully").signal(syscall.SIGINT).ends(130)
	c := p.one("twice-app-1")
	equal(t, "the container", fmt.Sprint(c.State, " ", c.ExitCode), "exited 137")
}

// TestAttachedUpKilled: a front end that is killed takes no container with it.
func TestAttachedUpKilled(t *testing.T) {
	p := compose(t, "orphaned", "services:\n  app:\n    image: busybox\n    command: "+stubborn+"\n")
	p.begin("up", "--no-color").says("app-1  | ready\n").signal(syscall.SIGKILL).ends(-1)
	equal(t, "state", p.one("orphaned-app-1").State, "running")
}

// TestDetached: exec and run with --detach come back at once and say what they have started.
func TestDetached(t *testing.T) {
	h := theHost(t)
	p := compose(t, "detached", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n")
	p.up()
	equal(t, "exec --detach", p.ok("exec", "--detach", "app", "sh", "-c", "echo done >/tmp/mark; sleep 1000"), "")
	p.eventually("the detached exec has worked", func() bool { return p.run("exec", "-T", "app", "test", "-e", "/tmp/mark").code == 0 })
	p.fails(127, []string{"nosuch"}, "exec", "--detach", "app", "nosuch")

	name := p.ok("run", "--detach", "--name", "aside", "app", "sleep", "1000")
	equal(t, "run --detach", name, "aside\n")
	equal(t, "the one-off", p.one("aside").State, "running")
	p.fails(1, []string{"aside", "taken"}, "run", "--detach", "--name", "aside", "app", "true")

	// With --rm a one-off is gone when it has ended, nobody being there or not.
	before, err := os.ReadDir(h.state("containers"))
	if err != nil {
		t.Fatal(err)
	}
	p.ok("run", "--detach", "--rm", "--name", "brief", "app", "sh", "-c", "exit 3")
	p.eventually("the one-off is removed", func() bool {
		now, err := os.ReadDir(h.state("containers"))
		return err == nil && len(now) == len(before)
	})
	p.begin("run", "--rm", "-T", "--name", "stopped", "app", "sh", "-c", `trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 1 & wait $!; done`).
		says("ready").signal(syscall.SIGTERM).says("bye").ends(4)
	if _, there := p.ps()["stopped"]; there {
		t.Error("run --rm left its container after a SIGTERM")
	}
}
