package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// TestAttachedUpWithoutOne: Ctrl-C stops what there is, also when the container of one service is gone meanwhile. A stop and a kill of that service have nothing to do; one that is in no
// file is told of.
func TestAttachedUpWithoutOne(t *testing.T) {
	p := compose(t, "without", "services:\n  app:\n    image: busybox\n    command: "+stubborn+"\n  gone:\n    image: busybox\n    command: "+deaf+"\n    stop_grace_period: 0s\n")
	up := p.begin("up", "--no-color").says("app-1   | ready\n", "gone-1  | ready\n")
	p.ok("rm", "--stop", "--force", "gone")
	up.signal(syscall.SIGINT).ends(130)
	equal(t, "app", p.one("without-app-1").State, "exited")
	equal(t, "stderr of a stop of what is not there", p.run("stop", "gone").stderr, "")
	p.ok("start", "app")
	p.ok("kill", "gone", "app")
	equal(t, "app", p.one("without-app-1").State, "exited")
	equal(t, "stderr of a kill of what is not there", p.run("kill", "gone").stderr, "No container to kill\n")
	p.fails(1, []string{"no such service: mistyped"}, "stop", "mistyped")
}

// TestAttachedUpSurvivesARestart: between the stop and the start of a restart, which pre_start makes long here, nothing runs, and that is not the end of what an up in the front follows. A stop
// is.
func TestAttachedUpSurvivesARestart(t *testing.T) {
	p := compose(t, "outlives", `
services:
  app:
    image: busybox
    command: sh -c 'echo x >>/n; echo run $$(wc -l </n); exec sleep 1000'
    init: true
    pre_start: [{command: sleep 0.3}]
`)
	up := p.begin("up", "--no-color").says("app-1  | run 1\n")
	p.ok("restart", "--timeout", "0")
	up.says("app-1  | run 2\n")
	p.ok("stop", "--timeout", "0")
	up.ends(0)
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
	p.fails(1, []string{"aside", "already in use"}, "run", "--detach", "--name", "aside", "app", "true")

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

// TestAttachedUpOutlivesTheDaemon: an up that is attached goes on with the next daemon when its own is killed. No line is missing or twice, an end that no
// daemon has seen is told, and Ctrl-C stops the project.
func TestAttachedUpOutlivesTheDaemon(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.env = append(h.env, "STACK_IDLE=1h") // commands start the daemon
	k := &killer{t: t, h: h}
	t.Cleanup(k.endDaemons)
	p := &project{t: t, host: h, name: "stays", dir: filepath.Join(h.dir, "stays")}
	p.write("compose.yaml", chainOf("1")+`
  brief:
    image: busybox
    init: true
    command: ["sh", "-c", "echo waits; until [ -e /go/now ]; do sleep 0.02; done; exit 6"]
    volumes: ["./go:/go"]
    restart: "no"
`)
	p.write("go/.keep", "")
	t.Cleanup(p.takeDownWholly)
	up := p.begin("up", "--no-color").says("brief-1  | waits\n", "s4-1     | 5\n")
	lines := func(service string) (n []int) {
		for line := range strings.Lines(up.text()) {
			name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
			if i, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && strings.TrimSpace(name) == service+"-1" {
				n = append(n, i)
			}
		}
		return n
	}
	for range 2 {
		before := p.living(t)
		for _, pid := range k.daemons() {
			mustKill(t, pid)
		}
		p.write("go/now", "") // one of both daemons is there to see it, or none
		for i := range 5 {
			service := fmt.Sprintf("s%d", i)
			n := len(lines(service))
			p.eventually("the output of "+service+" goes on", func() bool { return len(lines(service)) > n+10 })
		}
		for name, pid := range p.living(t) {
			if before[name] != pid {
				t.Errorf("%s was process %d and is %d", name, before[name], pid)
			}
		}
	}
	text := up.signal(syscall.SIGINT).ends(130)
	if n := strings.Count(text, "brief-1 exited with code 6"); n != 1 {
		t.Errorf("the end of brief was told %d times:\n%s", n, text)
	}
	for i := range 5 {
		service := fmt.Sprintf("s%d", i)
		for at, n := range lines(service) {
			if n != at+1 {
				t.Fatalf("%s: %d comes at place %d:\n%s", service, n, at+1, text)
			}
		}
		equal(t, service, p.one("stays-"+service+"-1").State, "exited")
	}
}

// TestAttachedUpIsCutShort: an up whose daemon is killed while services start says so once and ends. What runs by then runs on, and the next up
// goes on from there.
func TestAttachedUpIsCutShort(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "cut", dir: filepath.Join(h.dir, "cut")}
	p.write("compose.yaml", `
services:
  first:
    image: busybox
    init: true
    command: ["sh", "-c", "echo ready; exec sleep 1000"]
    volumes: ["./go:/go"]
    healthcheck: {test: test -e /go/now, interval: 1s, start_period: 1h}
  second:
    image: busybox
    init: true
    command: ["sh", "-c", "echo begun; exec sleep 1000"]
    depends_on: {first: {condition: service_healthy}}
`)
	p.write("go/.keep", "")
	t.Cleanup(p.takeDownWholly)
	up := p.begin("up", "--no-color").says("first-1   | ready\n")
	before := p.living(t)
	h.killDaemon(t)
	text := up.ends(1)
	if n := strings.Count(text, "error: "); n != 1 || !strings.Contains(text, "daemon") {
		t.Errorf("the fault is told in %d words:\n%s", n, text)
	}
	if after := p.living(t); len(after) != 1 || after["cut-first-1"] != before["cut-first-1"] {
		t.Errorf("there was %v, and is %v", before, after)
	}
	h.startDaemon(t)
	p.write("go/now", "")
	p.begin("up", "--no-color").says("second-1  | begun\n").signal(syscall.SIGINT).ends(130)
	equal(t, "starts of the first", fmt.Sprint(strings.Count(p.ok("logs", "first"), "ready")), "1")
}
