package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// cloud is a program that provides services. It notes how it was called, and does what the files beside it say.
const cloud = `#!/bin/sh
here=$(dirname "$0")
shift
if [ "$1" = metadata ]; then
	cat "$here/metadata" 2>/dev/null || exit 1
	exit 0
fi
echo "$@" FROM=$FROM >> "$here/calls"
case "$2" in
up)
	echo '{"type":"info","message":"preparing 50%"}'
	[ -e "$here/slow" ] && sleep 1000
	echo '{"type":"debug","message":"nobody sees it"}'
	cat "$here/says" 2>/dev/null
	printf '{"type":"setenv","message":"URL=%s"}\n{"type":"rawsetenv","message":"REGION=north"}\n' "$(cat "$here/url")"
	;;
esac
if [ -e "$here/fails" ]; then cat "$here/fails" >&2; exit 3; fi
`

type cloudProject struct {
	*project
	bin string
}

// calls are what the program was asked since the last call.
func (c cloudProject) calls() string {
	raw, _ := os.ReadFile(filepath.Join(c.bin, "calls")) // not there: none
	os.Remove(filepath.Join(c.bin, "calls"))
	return string(raw)
}

func newCloud(t *testing.T, name, yaml string) cloudProject {
	t.Helper()
	p := compose(t, name, yaml)
	bin := t.TempDir()
	write(t, filepath.Join(bin, "url"), "https://one")
	write(t, filepath.Join(bin, "awesomecloud"), cloud)
	if err := os.Chmod(filepath.Join(bin, "awesomecloud"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "PATH="+bin+":"+os.Getenv("PATH"), "FROM=shell")
	return cloudProject{p, bin}
}

const provided = `
services:
  app:
    image: busybox
    init: true
    command: sleep 1000
    environment: {REGION: south, OWN: file}
    depends_on: [db]
  db:
    provider:
      type: awesomecloud
      options: {type: mysql, size: 10, tag: [a, b]}
  aside: {image: busybox, init: true, command: sleep 1000}
`

// TestProvider: a service that a program of the user's provides is brought up before its dependents, which get what it sets; stop and down reach it;
// plan runs nothing.
func TestProvider(t *testing.T) {
	p := newCloud(t, "provided", provided)
	inside := func(want string) {
		t.Helper()
		equal(t, "the variables", strings.TrimSpace(p.sh("app", "echo $DB_URL $REGION $OWN")), want)
	}
	plan := p.run("plan")
	contains(t, "the plan", plan.stderr, "compose.yaml:10:5: warning: what a provider does is not in the plan: awesomecloud has not run yet, so what it sets for the services that depend on db is not known; up runs it first")
	equal(t, "calls of a plan", p.calls(), "")

	up := p.run("--progress", "plain", "up", "--detach", "--wait")
	contains(t, "progress", up.stderr, "Service db  Creating  preparing 50%")
	contains(t, "progress", up.stderr, "Service db  Created")
	contains(t, "what is overridden", up.stderr, "service app: REGION is what the provider of db says")
	equal(t, "calls", p.calls(), "--project-name=provided up --size=10 --tag=a --tag=b --type=mysql db FROM=shell\n")
	inside("https://one north file")
	contains(t, "config", p.ok("config"), "type: awesomecloud")
	equal(t, "containers", p.ok("ps", "--all", "--format", "{{.Name}}"), "provided-app-1\nprovided-aside-1\n")

	// The same once more changes nothing; another URL recreates who depends on it, and nobody else.
	equal(t, "a plan", p.ok("plan"), "provided: nothing to do\n")
	saved := filepath.Join(p.bin, "plan")
	contains(t, "a saved plan", p.run("plan", "-o", saved).stderr, "up runs awesomecloud for service db first; apply does not")
	if said := p.run("apply", saved); said.code != 0 || strings.Contains(said.stderr, "awesomecloud") {
		t.Errorf("apply: %s", said)
	}
	equal(t, "calls", p.calls(), "")
	before, aside := p.one("provided-app-1").ID, p.one("provided-aside-1").ID
	p.up()
	equal(t, "the container", p.one("provided-app-1").ID, before)
	write(t, filepath.Join(p.bin, "url"), "https://two")
	changed := p.run("up", "--detach", "--wait")
	contains(t, "why it is recreated", changed.stderr, `environment.DB_URL: "https://one" -> "https://two"`)
	inside("https://two north file")
	equal(t, "who does not depend on it", p.one("provided-aside-1").ID, aside)
	p.calls()

	// What goes by the last time: an up of another service, a run without dependencies, a container that is healed.
	p.ok("up", "--detach", "--wait", "aside")
	equal(t, "what a one-off gets", p.ok("run", "--rm", "-T", "--no-deps", "app", "sh", "-c", "echo $DB_URL"), "https://two\n")
	equal(t, "calls", p.calls(), "")
	run := p.runs("app")
	mustKill(t, p.status(p.one("provided-app-1").ID).Pid)
	p.changed("app", run)
	inside("https://two north file")
	equal(t, "what a one-off gets", p.ok("run", "--rm", "-T", "app", "sh", "-c", "echo $DB_URL"), "https://two\n")
	p.calls()

	equal(t, "a drift", p.ok("drift"), "provided: this host is as the file of the last up says\n")

	// stop reaches a program that says it can; down does always, with the options that it says it takes.
	p.ok("restart", "-t", "0")
	p.ok("stop", "-t", "0")
	p.ok("start")
	inside("https://two north file")
	equal(t, "calls", p.calls(), "")
	write(t, filepath.Join(p.bin, "metadata"), `{"description":"d","up":{"parameters":[{"name":"type","required":true},{"name":"size"}]},"down":{"parameters":[{"name":"type"}]},"stop":{"parameters":[]}}`)
	p.ok("stop", "-t", "0", "db")
	equal(t, "calls", p.calls(), "--project-name=provided stop db FROM=shell\n")
	p.up()
	equal(t, "calls", p.calls(), "--project-name=provided up --size=10 --type=mysql db FROM=shell\n")
	p.ok("down", "-t", "0", "app")
	equal(t, "calls", p.calls(), "")
	p.ok("down", "-t", "0")
	equal(t, "calls", p.calls(), "--project-name=provided down --type=mysql db FROM=shell\n")
	p.up()
	p.calls()
	p.begin("up", "--no-color").says("provided-app-1  Running").signal(syscall.SIGINT).ends(130)
	equal(t, "calls of an up that is ended", p.calls(), "--project-name=provided up --size=10 --type=mysql db FROM=shell\n--project-name=provided stop db FROM=shell\n")
	away := p.host.exec(t, t.TempDir(), "", nil, "--progress", "plain", "-p", "provided", "down", "-t", "0")
	contains(t, "a down without the file", away.stderr, "Service db  Left as it is")
	equal(t, "calls", p.calls(), "")
}

// TestProviderThatFails: each fault is at its line, before anything is made.
func TestProviderThatFails(t *testing.T) {
	p := newCloud(t, "notprovided", provided)
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"a message", "says", `{"type":"error","message":"no quota\nask for more"}` + "\n", []string{"compose.yaml:10:5: error: cannot bring up service db: awesomecloud: no quota\n", "ask for more"}},
		{"an exit code", "fails", "the disk is full\n", []string{"compose.yaml:10:5: error: cannot bring up service db: awesomecloud: it exited with code 3\n", "the disk is full"}},
		{"no protocol", "says", "hello\n", []string{"it does not speak the protocol of providers"}},
		{"another word", "says", `{"type":"sing","message":"x"}`, []string{`it says "sing", expected info, error, setenv`}},
		{"no variable", "says", `{"type":"setenv","message":"x"}`, []string{"it sets no variable with setenv: expected NAME=VALUE"}},
		{"a missing option", "metadata", `{"up":{"parameters":[{"name":"tier","required":true}]}}`, []string{"it needs the option tier"}},
	} {
		write(t, filepath.Join(p.bin, tt.file), tt.text)
		p.fails(1, tt.want, "up", "--detach")
		os.Remove(filepath.Join(p.bin, tt.file))
		equal(t, tt.name+": containers", p.ok("ps", "--all", "--quiet"), "")
	}
	write(t, filepath.Join(p.bin, "slow"), "")
	p.begin("--progress", "plain", "up").says("preparing 50%").signal(syscall.SIGINT).ends(130) // what it runs goes too: the harness looks
	os.Remove(filepath.Join(p.bin, "slow"))
	p.calls()
	p.write("compose.yaml", strings.Replace(provided, "awesomecloud", "nocloud", 1))
	for _, verb := range []string{"plan", "up"} {
		p.fails(1, []string{"compose.yaml:11:13: error: a service cannot be provided: service db: there is neither a docker plugin docker-nocloud nor a program nocloud in PATH"}, verb)
	}
	p.write("compose.yaml", strings.Replace(provided, "awesomecloud", "compose", 1))
	p.fails(1, []string{"compose is no provider"}, "up")
	p.write("compose.yaml", provided)
	p.fails(1, []string{"a service of a provider has no containers to scale"}, "up", "--detach", "--scale", "db=2")
	p.fails(1, []string{`cannot run "db": it has no container, awesomecloud provides it`}, "run", "--rm", "db", "true")
	equal(t, "containers", p.ok("ps", "--all", "--quiet"), "")
}

// TestProviderInTheMiddle: a program whose service depends on containers runs when these are ready, and is taken back while they still are.
func TestProviderInTheMiddle(t *testing.T) {
	p := newCloud(t, "middle", `
services:
  app: {image: busybox, init: true, command: sleep 1000, depends_on: [db]}
  db:
    provider: {type: awesomecloud}
    depends_on: {base: {condition: service_healthy}}
  base:
    image: busybox
    init: true
    command: sh -c 'sleep 0.3; touch /ready; exec sleep 1000'
    healthcheck: {test: test -e /ready, interval: 1s}
`)
	write(t, filepath.Join(p.bin, "awesomecloud"), `#!/bin/sh
[ "$2" = metadata ] && { echo '{"description":"d","stop":{}}'; exit; }
stack -p middle ps --format '{{.Service}} {{.Health}}' | sed "s/^/$3: /" >> "$(dirname "$0")/calls"
`)
	p.env[len(p.env)-2] = "PATH=" + p.bin + ":" + filepath.Dir(p.host.bin) + ":" + os.Getenv("PATH")
	p.up()
	equal(t, "what ran", p.calls(), "up: base healthy\n")
	p.ok("stop", "-t", "0")
	equal(t, "what ran", p.calls(), "stop: base healthy\n")
	p.up()
	p.calls()
	p.ok("down", "-t", "0")
	equal(t, "what ran", p.calls(), "down: base healthy\n")
}
