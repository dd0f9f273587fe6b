package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLifecycle: stop, start, restart, kill and rm, with ps's states and the codes that users know.
func TestLifecycle(t *testing.T) {
	p := compose(t, "life", `
services:
  app:
    image: busybox
    command: ["sh", "-c", "trap 'echo bye; exit 5' TERM; trap 'echo hup' HUP; echo hello; while :; do sleep 1 & wait $$!; done"]
    stop_grace_period: 2m
  stubborn:
    image: busybox
    command: ["sh", "-c", "trap '' TERM; echo hello; while :; do sleep 1; done"]
  usr:
    image: busybox
    command: ["sh", "-c", "trap 'exit 9' USR1; echo hello; while :; do sleep 1 & wait $$!; done"]
    stop_signal: SIGUSR1
    stop_grace_period: 2m
`)
	hello := func(service string, times int) {
		t.Helper()
		p.eventually(fmt.Sprintf("%s has said hello %d times", service, times), func() bool {
			return strings.Count(p.ok("logs", "--no-log-prefix", service), "hello") >= times
		})
	}
	p.up()
	for _, service := range []string{"app", "stubborn", "usr"} {
		hello(service, 1) // and heeds signals
	}
	id := p.one("life-app-1").ID
	p.ok("kill", "-s", "HUP", "app")
	p.eventually("the program says hup", func() bool { return strings.Contains(p.ok("logs", "app"), "hup") })

	p.ok("stop", "--timeout", "1", "stubborn")
	p.ok("stop")
	for name, code := range map[string]int{"life-app-1": 5, "life-stubborn-1": 137, "life-usr-1": 9} {
		c := p.one(name)
		if c.State != "exited" || c.ExitCode != code {
			t.Errorf("%s: %s with %d, want exited with %d", name, c.State, c.ExitCode, code)
		}
	}
	equal(t, "ps without --all", p.ok("ps", "--quiet"), "")
	p.ok("start", "app", "usr")
	equal(t, "started again", p.one("life-app-1").State, "running")
	equal(t, "the same container", p.one("life-app-1").ID, id)
	hello("app", 2)
	p.ok("restart", "--timeout", "120", "app")
	c := p.one("life-app-1")
	equal(t, "after restart", c.ID+c.State, id+"running")
	hello("app", 3)
	p.ok("kill", "app")
	p.eventually("killed", func() bool { return p.one("life-app-1").State == "exited" })
	equal(t, "exit code of kill", fmt.Sprint(p.one("life-app-1").ExitCode), "137")
	if n := strings.Count(p.ok("logs", "--no-log-prefix", "app"), "hello"); n != 3 {
		t.Errorf("the log has %d starts, want 3", n)
	}
	p.ok("rm", "--force")
	if _, ok := p.ps()["life-app-1"]; ok {
		t.Error("rm kept a stopped container")
	}
	equal(t, "rm keeps what runs", p.one("life-usr-1").State, "running")
}

func TestRestartPolicy(t *testing.T) {
	p := compose(t, "policy", `
services:
  thrice:
    image: busybox
    command: ["sh", "-c", "echo run >>/data/runs; exit 3"]
    restart: on-failure:3
    volumes: [data:/data]
  fine:
    image: busybox
    command: ["true"]
    restart: on-failure
  always:
    image: busybox
    command: ["sh", "-c", "echo tick; sleep 0.1"]
    restart: always
  never:
    image: busybox
    command: ["false"]
  reader:
    image: busybox
    command: [sleep, infinity]
    volumes: [data:/data]
volumes:
  data:
`)
	p.ok("up", "--detach")
	p.eventually("on-failure:3 gives up after three restarts", func() bool {
		return p.one("policy-thrice-1").State == "exited" && p.sh("reader", "wc -l </data/runs") == "4"
	})
	p.eventually("always has run five times", func() bool {
		return strings.Count(p.ok("logs", "always"), "tick") >= 5
	})
	for name, code := range map[string]int{"policy-fine-1": 0, "policy-never-1": 1, "policy-thrice-1": 3} {
		p.eventually(name+" has ended", func() bool { return p.one(name).State == "exited" })
		equal(t, "exit code of "+name, fmt.Sprint(p.one(name).ExitCode), fmt.Sprint(code))
	}
	// A stop by the user is an end for every policy.
	p.ok("stop", "--timeout", "0", "always")
	equal(t, "always, stopped by hand", p.one("policy-always-1").State, "exited")
}

// TestHealth: the three conditions in order, a check that never passes fails up --wait at once and is named. Each project is gone before the
// next is compared with the machine: their probes come and go.
func TestHealth(t *testing.T) {
	t.Run("gates", healthGates)
	t.Run("unhealthy", unhealthyGate)
	t.Run("failed job", failedJobGate)
}

func healthGates(t *testing.T) {
	p := compose(t, "health", `
services:
  slow:
    image: busybox
    command: ["sh", "-c", "sleep 1; touch /ready; sleep infinity"]
    healthcheck:
      test: [CMD, test, -e, /ready]
      interval: 1h
      start_period: 30m
      start_interval: 100ms
  job:
    image: busybox
    command: ["sh", "-c", "echo job"]
    depends_on:
      slow: {condition: service_healthy}
  last:
    image: busybox
    command: ["sh", "-c", "echo last; sleep infinity"]
    depends_on:
      job: {condition: service_completed_successfully}
`)
	p.up() // the first success does not wait for the interval
	equal(t, "slow", p.one("health-slow-1").Health, "healthy")
	equal(t, "job", p.one("health-job-1").State, "exited")
	out := p.ok("logs", "--timestamps", "--no-log-prefix", "job", "last")
	if !strings.Contains(out, "job") || !strings.Contains(out, "last") || strings.Index(out, "job") > strings.Index(out, "last") {
		t.Errorf("last ran before job:\n%s", out)
	}
}

func unhealthyGate(t *testing.T) {
	bad := compose(t, "unhealthy", `
services:
  bad:
    image: busybox
    command: [sleep, infinity]
    healthcheck:
      test: ["CMD-SHELL", "echo no good; exit 1"]
      interval: 100ms
      retries: 2
  after:
    image: busybox
    command: [sleep, infinity]
    depends_on:
      bad: {condition: service_healthy}
`)
	bad.fails(1, []string{"bad", "unhealthy", "no good"}, "up", "--detach", "--wait")
	if c, ok := bad.ps()["unhealthy-after-1"]; ok && c.State == "running" {
		t.Error("a dependent of an unhealthy service was started")
	}
}

func failedJobGate(t *testing.T) {
	failed := compose(t, "failedjob", `
services:
  job:
    image: busybox
    command: ["sh", "-c", "echo why it failed; exit 4"]
  after:
    image: busybox
    command: [sleep, infinity]
    depends_on:
      job: {condition: service_completed_successfully}
`)
	failed.fails(1, []string{"job", "4"}, "up", "--detach")
	contains(t, "why", failed.ok("why", "job"), "failedjob-job-1: exited (it stays so until a command starts it)")
}

func TestWaitTimeout(t *testing.T) {
	p := compose(t, "waits", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    healthcheck: {test: ["CMD", "false"], interval: 1s, retries: 1000, start_period: 1h}
`)
	p.fails(1, []string{"not healthy after 1s"}, "up", "--wait", "--wait-timeout", "1")
}

// TestDownEndsWhoWaits: nobody who takes a project down waits for the health checks of who brings it up, in the front or not.
func TestDownEndsWhoWaits(t *testing.T) {
	p := compose(t, "waited", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "false"], interval: 1s, retries: 1000, start_period: 1h}
  web:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: {app: {condition: service_healthy}}
`)
	for _, up := range [][]string{{"up", "--detach", "--wait"}, {"up"}} {
		waits := p.begin(up...).says("Container waited-app-1  Waiting")
		contains(t, "down", p.run("down").stderr, "Container waited-app-1  Removed")
		contains(t, "what it says", waits.ends(1), "was cut short: another command stops the project")
		if ps := p.ps(); len(ps) != 0 {
			t.Errorf("down leaves %v", ps)
		}
	}
}

func TestLogs(t *testing.T) {
	p := compose(t, "logging", `
services:
  talk:
    image: busybox
    command: ["sh", "-c", "for i in 1 2 3 4 5; do echo line $$i; done; echo to stderr >&2; echo last; printf 'no newline'; trap 'exit 0' TERM; sleep infinity & wait"]
  lines:
    image: busybox
    command: ["sh", "-c", "for i in 1 2 3; do echo number $$i; done; exec sleep infinity"]
    stop_grace_period: 0s
`)
	p.up()
	// Between the two streams of one container there is no order.
	p.eventually("all lines are written", func() bool { return strings.Contains(p.ok("logs", "lines"), "number 3") })
	equal(t, "--no-log-prefix --tail 1", p.ok("logs", "--no-log-prefix", "--tail", "1", "lines"), "number 3\n")
	p.eventually("all is written", func() bool { return strings.Contains(p.ok("logs", "talk"), "last") })
	p.eventually("what was written to stderr is on stdout too, for a pipe", func() bool {
		r := p.run("logs", "--no-log-prefix", "talk")
		return strings.Contains(r.stdout, "to stderr\n") && r.stderr == ""
	})
	contains(t, "prefix", p.ok("logs", "--no-color"), "talk-1   | line 1\n")
	equal(t, "--tail 0", p.ok("logs", "--tail", "0"), "")
	equal(t, "--since in the future", p.ok("logs", "--since", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)), "")
	equal(t, "--until in the past", p.ok("logs", "--until", "24h"), "")
	line, _, _ := strings.Cut(p.ok("logs", "--no-log-prefix", "--timestamps", "lines"), "\n")
	stamp, text, _ := strings.Cut(line, " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != "number 1" {
		t.Errorf("--timestamps: %q: %v", line, err)
	}

	// Follow: what is there, then what comes; ends when the containers do.
	follow := p.begin("logs", "--follow", "--no-log-prefix", "--tail", "1", "talk")
	p.ok("stop", "talk") // its end ends the line that has no newline
	contains(t, "logs --follow", follow.ends(0), "no newline")

	// The log is the project's: it survives a recreate.
	p.ok("up", "--detach", "--force-recreate", "talk")
	p.eventually("the log holds both lives", func() bool {
		return strings.Count(p.ok("logs", "--no-log-prefix", "talk"), "line 1\n") == 2
	})
}

// TestLogsOfAnyBytes: what a program writes is kept byte by byte, however long its lines are, and given back so where no terminal is.
func TestLogsOfAnyBytes(t *testing.T) {
	p := compose(t, "bytes", `
services:
  app:
    image: busybox
    command: ["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; echo; printf '\\000\\001\\377\\033[31m\\r\\t\\n'; printf '\\n\\n'; printf end"]
`)
	p.ok("up", "--detach")
	p.eventually("the program has ended", func() bool { return p.one("bytes-app-1").State == "exited" })
	want := strings.Repeat("x", 3000000) + "\n\x00\x01\xff\x1b[31m\r\t\n\n\nend"
	got := strings.TrimSuffix(p.ok("logs", "--no-log-prefix", "--no-color"), "\n")
	if got != want {
		t.Errorf("%d bytes came, %d were written; they end with %q", len(got), len(want), got[max(0, len(got)-40):])
	}
}

// TestExitCodeFrom: the end of one container ends all, and up has the code of the service that was named, or of the
// first that ended.
func TestExitCodeFrom(t *testing.T) {
	p := compose(t, "exitcode", `
services:
  test:
    image: busybox
    command: ["sh", "-c", "echo tested; exit 6"]
  server:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
`)
	stopped := func() {
		t.Helper()
		if c := p.one("exitcode-server-1"); c.State != "exited" {
			t.Errorf("the other service is %s, want exited", c.State)
		}
	}
	contains(t, "output", p.fails(6, nil, "up", "--exit-code-from", "test").stdout, "tested")
	stopped()
	p.fails(137, nil, "up", "--exit-code-from", "server")
	stopped()
	p.fails(6, nil, "up", "--abort-on-container-exit")
	stopped()
	p.fails(6, nil, "up", "--abort-on-container-failure")
	stopped()
}
