package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestTmpfsModes: a tmpfs without a mode has that of the directory that it covers, and where there is none 01777, at each start.
func TestTmpfsModes(t *testing.T) {
	p := compose(t, "tmpfsmodes", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    tmpfs: [/etc, /made/below, "/said:mode=0750"]
    volumes: [{type: tmpfs, target: /made/volume}]
`)
	p.up()
	for _, start := range []string{"up", "restart", "a second restart"} {
		equal(t, "modes after "+start, p.sh("app", "echo $(stat -c %a /etc /made/below /made/volume /said)"), "755 1777 1777 750")
		p.ok("restart", "app")
	}
}

// TestHostnames: a container on the host's network has the host's name, and a name with dots is known by its first part too.
func TestHostnames(t *testing.T) {
	p := compose(t, "hostnames", `
services:
  host: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, network_mode: host}
  plain: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, network_mode: host, uts: host}
  full: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, hostname: web.example.com}
`)
	p.up()
	want := p.sh("plain", "hostname")
	equal(t, "names on the host's network", p.sh("host", "echo $(hostname) $HOSTNAME $(cat /etc/hostname)"), strings.Join([]string{want, want, want}, " "))
	contains(t, "the hosts file", p.sh("full", "cat /etc/hosts"), "\tweb.example.com web")
}

// TestFilesOfThePlatform: the file by which programs know that they run in a container, and /etc/hosts and its like, which a
// read-only container cannot write.
func TestFilesOfThePlatform(t *testing.T) {
	p := compose(t, "platformfiles", `
services:
  open: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  shut: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, read_only: true}
`)
	p.up()
	const write = "for f in /etc/hosts /etc/hostname /etc/resolv.conf; do echo '# mine' >> $f && echo $f; done 2>/dev/null; true"
	for _, service := range []string{"open", "shut"} {
		equal(t, "/.dockerenv of "+service, p.sh(service, "stat -c '%F %a %u:%g' /.dockerenv"), "regular empty file 755 0:0")
	}
	equal(t, "what a container may write", p.sh("open", write), "/etc/hosts\n/etc/hostname\n/etc/resolv.conf")
	equal(t, "what a read-only one may write", p.sh("shut", write), "")
}

// TestStartTakesDependenciesAlong: what a service depends on is started with it, first and ready, as with docker compose, and only when it is to start itself. One that has no container any more
// is said with its place.
func TestStartTakesDependenciesAlong(t *testing.T) {
	p := compose(t, "along", `
services:
  db:
    image: busybox
    command: sh -c 'touch /ready; exec sleep 1000'
    init: true
    healthcheck: {test: test -e /ready, interval: 1h}
  job:
    image: busybox
    command: "true"
    depends_on: {db: {condition: service_healthy}}
  app:
    image: busybox
    command: sleep 1000
    init: true
    depends_on: {job: {condition: service_completed_successfully}}
  other: {image: busybox, command: sleep 1000, init: true}
`)
	states := func(want string) {
		t.Helper()
		equal(t, "containers", strings.ReplaceAll(strings.TrimSpace(p.ok("ps", "--all", "--format", "{{.Service}}:{{.State}}")), "\n", " "), want)
	}
	p.ok("create")
	p.ok("start", "app")
	states("app:running db:running job:exited other:created")
	contains(t, "why db", p.ok("why", "db"), "job, which is started, depends on it")
	p.ok("stop", "--timeout", "0", "db")
	p.ok("start", "app") // which runs
	states("app:running db:exited job:exited other:created")
	p.ok("stop", "--timeout", "0", "app")
	p.ok("start", "app")
	states("app:running db:running job:exited other:created")
	p.ok("stop", "--timeout", "0", "app", "db")
	p.ok("rm", "--force", "db")
	p.fails(1, []string{"compose.yaml:11:", `cannot start service "job": service "db", which it depends on, has no container; create it with ` + "`stack up job`"}, "start", "app")
	states("app:exited job:exited other:created")
}

// TestVerbsWithoutContainer: what has nothing to do for a service says so and ends well, as with docker compose: scripts call such verbs whatever is there. To start it is not possible.
// A name that no file vouches for is told of, since it may be mistyped.
func TestVerbsWithoutContainer(t *testing.T) {
	p := compose(t, "absent", `
services:
  app: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  gone: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  task: {image: busybox, command: ["true"]}
  optional: {image: busybox, command: [sleep, infinity], profiles: [more]}
`)
	says := func(stderr string, args ...string) {
		t.Helper()
		r := p.run(args...)
		if r.code != 0 || r.stdout != "" || r.stderr != stderr {
			t.Errorf("want code 0 and on stderr %q: %s", stderr, r)
		}
	}
	says("", "restart")
	p.fails(1, []string{"it has no containers; create them with `stack up`"}, "start")
	p.up("app")
	p.ok("up", "--detach", "task")
	p.ok("wait", "task")
	for _, gone := range []string{"gone", "optional"} {
		none := " Service " + gone + "  No container\n"
		says("warning: log of "+gone+": it has no container\n", "logs", gone)
		says(none, "restart", gone)
		says(none, "pause", gone)
		says(none, "unpause", gone)
		says("", "stop", gone)
		says("No container to kill\n", "kill", gone)
		says("", "top", gone)
		says("", "events", "--since", "10m", "--until", "0s", gone)
		p.fails(1, []string{`service "` + gone + `" of project absent has no container`}, "start", gone)
		p.fails(1, []string{`service "` + gone + `" of project absent has no container with number 2`}, "logs", "--index", "2", gone)
	}
	says(" Container absent-task-1  Not running\n", "pause", "task")
	says(" Container absent-task-1  Not running\n", "unpause", "task")
	says("No container to kill\n", "kill", "task")

	// By the project's name alone: there is no file to know the service by.
	dir := p.dir
	p.dir = t.TempDir()
	named := func(args ...string) []string { return append([]string{"--project-name", "absent"}, args...) }
	none := " Service gone  No container\n"
	says("warning: log of gone: it has no container\n", named("logs", "gone")...)
	says(none, named("pause", "gone")...)
	says(none, named("stop", "gone")...)
	says(none+"No container to kill\n", named("kill", "gone")...)
	p.fails(1, []string{`service "gone" of project absent has no container`}, named("restart", "gone")...)
	p.dir = dir
	equal(t, "app", p.one("absent-app-1").State, "running") // of all that nothing was for it
}

// TestRemoveWithoutContainer: of several services that rm names one may have no container.
func TestRemoveWithoutContainer(t *testing.T) {
	p := compose(t, "absentrm", "services:\n  app: {image: busybox, command: [\"true\"]}\n  gone: {image: busybox, command: [\"true\"]}\n")
	p.ok("create", "app")
	p.ok("rm", "--force", "gone", "app")
	if all := p.ps(); len(all) != 0 {
		t.Errorf("rm has left %v", all)
	}
}

// TestLogsAsJSON: each line of the log is an object that says whose it is, what no log has is told on stderr.
func TestLogsAsJSON(t *testing.T) {
	p := compose(t, "jsonlogs", "services:\n  app: {image: busybox, command: [\"sh\", \"-c\", \"echo '<out> \\\"q\\\"'; echo err >&2\"]}\n  gone: {image: busybox}\n")
	p.ok("up", "--detach", "app")
	p.ok("wait", "app")
	r := p.run("logs", "--json", "app", "gone")
	lines := map[string]string{}
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	for dec.More() {
		var l struct {
			Container, Service, Stream, Line string
			Time                             time.Time
		}
		if err := dec.Decode(&l); err != nil {
			t.Fatalf("%v: %s", err, r)
		}
		if l.Container != "jsonlogs-app-1" || l.Service != "app" || l.Time.IsZero() {
			t.Errorf("%+v", l)
		}
		lines[l.Stream] = l.Line
	}
	if len(lines) != 2 || lines["stdout"] != `<out> "q"` || lines["stderr"] != "err" {
		t.Errorf("lines %q", lines)
	}
	equal(t, "stderr", r.stderr, "warning: log of gone: it has no container\n")
}
