package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const preStart = `
services:
  web:
    image: busybox
    command: sh -c 'echo served >> /d/ran; exec sleep 1000'
    init: true
    user: "9"
    working_dir: /tmp
    environment: {WHO: service, SAME: s}
    volumes: ["data:/d", "own:/own", "/anonymous", "./here:/here:ro"]
    tmpfs: [/memory]
    networks: {default: {aliases: [front]}}
    secrets: [word]
    depends_on: {other: {condition: service_healthy}}
    pre_start:
      - command: sh -c 'umask 0; chmod 777 /d; echo $$WHO $$SAME $$(id -u) $$PWD $$(cat /run/secrets/word /here/f) $$([ -d /anonymous ] && ! [ -d /memory ] && nslookup front >/dev/null 2>&1 || echo alone) $$(wget -qO - other:8080) >> /d/ran; echo hello from the step; touch /own/x'
        user: "0"
        environment: {WHO: step}
      - command: sh -c '[ -e /own/x ] && echo second $$(id -u) >> /d/ran'
        image: busybox:1.35
        per_replica: true
  other:
    image: busybox
    command: sh -c 'mkdir /w; echo page > /w/index.html; httpd -p 8080 -h /w; exec sleep 1000'
    init: true
    volumes: ["data:/d"]
    healthcheck: {test: wget -qO - localhost:8080}
volumes: {data: {}, own: {}}
secrets: {word: {file: ./word}}
`

// TestPreStart: what steps leave in a volume says when, as whom and with what they ran.
func TestPreStart(t *testing.T) {
	p := newProject(t, theHost(t), "steps", map[string]string{
		"compose.yaml": preStart, "word": "secret", "here/f": "-file",
	})
	ran := func(want string) {
		t.Helper()
		// What the service itself writes it writes a moment after its start.
		p.eventually("as much has run as "+want, func() bool {
			return want == "" || len(strings.Fields(p.sh("other", "cat /d/ran"))) >= len(strings.Fields(want))
		})
		equal(t, "what ran", strings.ReplaceAll(p.sh("other", "cat /d/ran; : > /d/ran"), "\n", ", "), want)
	}
	const both = "step s 0 /tmp secret-file alone page, second 0, served"
	contains(t, "the plan", p.run("plan").stdout, "  create steps-web-1\n      it does not exist\n      runs pre_start[0], pre_start[1] before it starts\n")
	equal(t, "is there anything after a plan", p.ok("ps", "-aq"), "")
	p.up()
	ran(both)
	contains(t, "the log", p.ok("logs", "--no-color", "web"), "| -> hello from the step")
	contains(t, "its last lines", p.ok("logs", "--no-color", "--tail", "1", "web"), "| -> hello from the step")
	equal(t, "containers of steps", p.ok("ps", "--all", "--format", "{{.Name}}", "web"), "steps-web-1\n")
	p.up()
	ran("")
	p.ok("restart", "-t", "1", "web")
	ran(both)
	p.ok("stop", "-t", "1", "web")
	p.ok("start", "web")
	ran(both)
	p.up("--scale", "web=2")
	ran("second 0, served")
	p.up("--scale", "web=1")
	ran("")
	p.up("--force-recreate", "web")
	ran(both)
	p.ok("run", "--rm", "-T", "web", "sh", "-c", "echo one-off >> /d/ran")
	ran("second 0, one-off")
	p.ok("stop", "-t", "1", "web")
	p.ok("run", "--rm", "-T", "web", "sh", "-c", "echo one-off >> /d/ran")
	ran("step s 0 /tmp secret-file alone page, second 0, one-off")
	p.up()
	ran(both)
	mustKill(t, p.status(p.one("steps-web-1").ID).Pid)
	p.eventually("it is healed", func() bool {
		return p.one("steps-web-1").State == "running" && strings.Contains(p.sh("other", "cat /d/ran"), "served")
	})
	ran(both)

	// A step that fails: its code, its words and its line; the service is not started, and the log is kept.
	p.write("compose.yaml", strings.ReplaceAll(preStart, "[ -e /own/x ] && echo second $$(id -u) >> /d/ran", "echo this is why; exit 17"))
	p.fails(1, []string{"compose.yaml:19:", "cannot run pre_start[1] of container steps-web-1", "exited with code 17", "this is why"}, "up", "-d")
	equal(t, "the container whose step has failed", p.one("steps-web-1").State, "created")
	equal(t, "containers of steps", p.ok("ps", "--all", "--format", "{{.Name}}", "web"), "steps-web-1\n")
	contains(t, "the log", p.ok("logs", "--no-color", "web"), "| -> this is why")
	p.fails(1, []string{"cannot run pre_start[1] of container steps-web-1"}, "start", "web")
	p.fails(1, []string{"compose.yaml:19:"}, "run", "--rm", "-T", "web", "true")
	equal(t, "containers", p.ok("ps", "--all", "--format", "{{.Name}}", "web"), "steps-web-1\n")
}

// TestPreStartAttached: an attached up shows what a step writes while it does, and no end of a container that nobody has heard of. A Ctrl-C ends it.
func TestPreStartAttached(t *testing.T) {
	p := newProject(t, theHost(t), "steplog", map[string]string{"d/x": "", "compose.yaml": `
services:
  web:
    image: busybox
    command: sh -c 'echo serving; exec sleep 1000'
    init: true
    volumes: ["./d:/d"]
    pre_start:
      - command: sh -c 'echo quick'
      - command: sh -c 'echo begun; until [ -e /d/go ]; do sleep 0.05; done; echo over'
`})
	up := p.begin("up", "--no-color", "--abort-on-container-exit").says("web-1  | -> quick\n", "web-1  | -> begun\n")
	write(t, filepath.Join(p.dir, "d/go"), "")
	text := up.says("web-1  | -> over\n", "web-1  | serving\n").signal(syscall.SIGINT).ends(130)
	if strings.Contains(text, "pre_start-") || strings.Count(text, "-> begun") != 1 {
		t.Errorf("an attached up shows:\n%s", text)
	}
}

// TestPreStartOutlivesTheDaemon: a daemon that is killed while a step runs leaves it running. The next one carries the up to its end: it waits
// for that step, runs none again, and starts the service.
func TestPreStartOutlivesTheDaemon(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	// What the killed daemon leaves (sysctls, its socket) is the next one's.
	p := &project{t: t, host: h, name: "outlives", dir: filepath.Join(t.TempDir(), "outlives")}
	t.Cleanup(p.takeDown)
	p.write("d/x", "")
	p.write("compose.yaml", `
services:
  web:
    image: busybox
    command: sh -c 'echo served >> /d/ran; exec sleep 1000'
    init: true
    volumes: ["./d:/d"]
    pre_start:
      - command: sh -c 'echo one >> /d/ran'
      - command: sh -c 'trap "exit 9" TERM; echo two >> /d/ran; until [ -e /d/go ]; do sleep 0.05; done; echo done >> /d/ran'
      - command: sh -c 'echo three >> /d/ran'
`)
	ran := func() string {
		raw, _ := os.ReadFile(filepath.Join(p.dir, "d/ran")) // not there yet: nothing
		return strings.Join(strings.Fields(string(raw)), " ")
	}
	up := p.begin("up", "--detach")
	p.eventually("the second step runs", func() bool { return ran() == "one two" })
	h.killDaemon(t)
	up.ends(1)
	h.startDaemon(t)
	contains(t, "what runs", p.ok("ps", "--all"), "outlives-web-1-pre_start-1")
	write(t, filepath.Join(p.dir, "d/go"), "")
	p.eventually("the service runs", func() bool { return strings.HasSuffix(ran(), "served") })
	equal(t, "what ran", ran(), "one two done three served")
	p.eventually("the steps are gone", func() bool { return strings.Count(p.ok("ps", "--all", "--quiet"), "\n") == 1 })
	equal(t, "what an up finds to do", p.ok("plan"), "outlives: nothing to do\n")

	// Ctrl-C ends the step, and leaves none.
	if err := os.Remove(filepath.Join(p.dir, "d/go")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.dir, "d/ran"), "")
	up = p.begin("up", "--detach", "--force-recreate", "-t", "0")
	p.eventually("the second step runs", func() bool { return ran() == "one two" })
	up.signal(syscall.SIGINT).ends(130)
	p.eventually("the step is gone", func() bool {
		return p.ok("ps", "--all", "--format", "{{.Name}} {{.State}}") == "outlives-web-1 created\n"
	})
	equal(t, "what ran", ran(), "one two")

	// Nobody carries on a run or a start that was cut short: the next daemon ends the step of the one, a stop that of the other.
	cutShort := func(args ...string) {
		t.Helper()
		write(t, filepath.Join(p.dir, "d/ran"), "")
		cmd := p.begin(args...)
		p.eventually("the second step runs", func() bool { return ran() == "one two" })
		h.killDaemon(t)
		cmd.ends(1)
		h.startDaemon(t)
	}
	all := func() string { return p.ok("ps", "--all", "--format", "{{.Name}} {{.State}}") }
	cutShort("run", "--rm", "-T", "web", "true")
	p.eventually("the one-off and its steps are gone", func() bool { return all() == "outlives-web-1 created\n" })
	cutShort("run", "-T", "--name", "kept", "web", "true")
	p.eventually("the steps of a one-off that stays are gone", func() bool { return all() == "kept created\noutlives-web-1 created\n" })
	cutShort("start", "web")
	contains(t, "what runs", all(), "outlives-web-1-pre_start-1 running")
	p.ok("stop")
	equal(t, "containers", all(), "kept created\noutlives-web-1 created\n")
	cutShort("start", "web")
	p.ok("down")
	equal(t, "containers", all(), "")
}

// TestPreStartInTurns: in a rolling update what is done once is done before the first new container starts, beside the old ones; when it fails they are what is left.
func TestPreStartInTurns(t *testing.T) {
	file := func(version, step string) string {
		return `
services:
  web:
    image: busybox
    command: sh -c 'echo served ` + version + ` >> /d/ran; touch /served; exec sleep 1000'
    init: true
    healthcheck: {test: test -e /served, interval: 1s}
    volumes: ["./d:/d", /own]
    pre_start:
      - command: sh -c '` + step + `'
      - command: sh -c 'touch /own/x; echo each >> /d/ran'
        per_replica: true
    deploy:
      replicas: 2
      update_config: {order: start-first, monitor: 200ms, failure_action: rollback}
`
	}
	p := newProject(t, theHost(t), "turns", map[string]string{"d/x": "", "compose.yaml": file("1", "echo once >> /d/ran")})
	ran := func() string {
		raw, _ := os.ReadFile(filepath.Join(p.dir, "d/ran")) // not there yet: nothing
		write(t, filepath.Join(p.dir, "d/ran"), "")
		return strings.Join(strings.Fields(string(raw)), " ")
	}
	p.up()
	lines := strings.Fields(ran())
	equal(t, "what ran first", lines[0], "once")
	equal(t, "how much ran", strconv.Itoa(len(lines)), "7") // once, each twice, "served 1" twice
	p.write("compose.yaml", file("2", "echo once >> /d/ran"))
	p.up()
	equal(t, "what ran", ran(), "once each served 2 each served 2")
	equal(t, "an anonymous volume of the replica", p.sh("web", "ls /own"), "x")
	before := p.ps()
	p.write("compose.yaml", file("3", "exit 5"))
	p.fails(1, []string{"cannot run pre_start[0] of container turns-web-1", "exited with code 5", "the service was rolled back"}, "up", "--detach")
	equal(t, "what ran", ran(), "")
	for name, c := range before {
		equal(t, name, p.one(name).ID+" "+p.one(name).State, c.ID+" running")
	}
}
