package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHooks: what hooks leave in a volume says when and as whom they ran, and their output is in the log.
func TestHooks(t *testing.T) {
	p := compose(t, "hooks", `
services:
  web:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["data:/d"]
    post_start:
      - command: sh -c 'echo up $$WHO $$(id -u) $$PWD >> /d/ran; chmod 666 /d/ran; echo hello from the hook; echo a fault >&2'
        working_dir: /tmp
        environment: [WHO=hook]
      - command: ["sh", "-c", "echo second $$(id -u) >> /d/ran"]
        user: "7"
    pre_stop:
      - command: sh -c 'echo down >> /d/ran; echo bye from the hook'
  other:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["data:/d"]
volumes: {data: {}}
`)
	ran := func(want string) {
		t.Helper()
		equal(t, "what the hooks wrote", strings.ReplaceAll(p.sh("other", "cat /d/ran; : > /d/ran"), "\n", ", "), want)
	}
	p.up()
	ran("up hook 0 /tmp, second 7")
	log := p.run("logs", "--no-color", "web")
	contains(t, "the log", log.stdout, "| -> hello from the hook")
	contains(t, "the log of stderr", log.stdout, "| -> a fault")
	p.ok("restart", "web", "-t", "1")
	ran("down, up hook 0 /tmp, second 7")
	p.ok("stop", "web", "-t", "1")
	ran("down")
	contains(t, "the log", p.ok("logs", "--no-color", "web"), "| -> bye from the hook")
	p.ok("start", "web")
	ran("up hook 0 /tmp, second 7")
	p.ok("kill", "web")
	ran("")
	p.ok("run", "--rm", "-T", "web", "sh", "-c", "until grep -q second /d/ran; do sleep 0.05; done")
	ran("up hook 0 /tmp, second 7")
	p.up()
	ran("up hook 0 /tmp, second 7")

	p.write("compose.yaml", `
services:
  web:
    image: busybox
    command: sleep 1000
    init: true
    post_start: [{command: sh -c 'echo this is why; exit 3'}]
    pre_stop: [{command: "false"}]
  other: {image: busybox, command: sleep 1000, init: true, volumes: ["data:/d"]}
volumes: {data: {}}
`)
	p.fails(1, []string{"compose.yaml:7:", "cannot run post_start[0] of container hooks-web-1", "exited with code 3: this is why"}, "up", "-d")
	ran("down")
	equal(t, "the container whose post_start failed", p.one("hooks-web-1").State, "running")
	p.fails(1, []string{"cannot stop container hooks-web-1: cannot run pre_stop[0]", `"false" exited with code 1`}, "stop", "web")
	equal(t, "the container whose pre_stop failed", p.one("hooks-web-1").State, "running")
	p.ok("kill", "web") // nothing keeps it from that, nor from the end of this test
}

// TestPreStopKeepsWhatItNeeds: a container whose pre_stop fails runs on with what it depends on, whatever was to stop it; the error has the place of the hook and says what
// ends the container all the same. Others are stopped and removed.
func TestPreStopKeepsWhatItNeeds(t *testing.T) {
	p := compose(t, "keepneeds", `
services:
  db: {image: busybox, command: sleep 1000, init: true}
  job:
    image: busybox
    command: "true"
    depends_on: [db]
  app:
    image: busybox
    command: sleep 1000
    init: true
    depends_on:
      db: {condition: service_started}
      job: {condition: service_completed_successfully}
    pre_stop:
      - command: sh -c 'test ! -e /tmp/busy || { echo still at work; exit 5; }'
  side: {image: busybox, command: sleep 1000, init: true}
`)
	place := []string{"compose.yaml:16:", "cannot stop container keepneeds-app-1: cannot run pre_stop[0]", "exited with code 5: still at work", "`stack kill app` ends it without its hooks"}
	for _, verb := range [][]string{{"stop", "--timeout", "0"}, {"rm", "--stop", "--force"}, {"down", "--timeout", "0"}} {
		p.up()
		p.sh("app", "touch /tmp/busy")
		app, db := p.runs("app"), p.runs("db")
		r := p.fails(1, place, verb...)
		if verb[0] == "stop" {
			contains(t, verb[0], r.stderr, "so not done: stop container keepneeds-job-1, stop container keepneeds-db-1")
		} else {
			contains(t, verb[0], r.stderr, "Container keepneeds-db-1  Left as it is  keepneeds-app-1, which depends on it, runs on")
		}
		equal(t, "app after "+verb[0], p.runs("app"), app)
		equal(t, "db after "+verb[0], p.runs("db"), db)
		equal(t, "side after "+verb[0], p.runs("side"), "")
		p.sh("app", "rm /tmp/busy; nslookup db 127.0.0.11")
	}
	p.ok("down", "--timeout", "0")
	if ps := p.ps(); len(ps) != 0 {
		t.Errorf("left: %v", ps)
	}
}

// TestHooksInARollingUpdate: each new container has run its post_start before the old one of its number runs its pre_stop and goes; one whose
// post_start fails is taken back, and no old one is told to stop for it.
func TestHooksInARollingUpdate(t *testing.T) {
	file := func(version, check string) string {
		return `
services:
  web:
    image: busybox
    init: true
    command: [sleep, infinity]
    environment: {VERSION: "` + version + `"}
    volumes: ["./trace:/trace"]
    stop_grace_period: 1s
    post_start: [{command: ["sh", "-c", "echo up $$VERSION >>/trace/all; ` + check + `"]}]
    pre_stop: [{command: ["sh", "-c", "echo down $$VERSION >>/trace/all"]}]
    deploy:
      replicas: 2
      update_config: {order: start-first, monitor: 100ms, failure_action: rollback}
`
	}
	p := compose(t, "hookroll", file("1", "true"))
	p.write("trace/.keep", "")
	trace := func() string {
		b, err := os.ReadFile(filepath.Join(p.dir, "trace", "all"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ", ")
	}
	p.up()
	equal(t, "after up", trace(), "up 1, up 1")
	p.write("compose.yaml", file("2", "true"))
	p.up()
	equal(t, "after an update", trace(), "up 1, up 1, up 2, down 1, up 2, down 1")
	p.write("compose.yaml", file("3", "false"))
	if r := p.run("up", "--detach"); r.code == 0 || !strings.Contains(r.stderr, "post_start[0]") {
		t.Errorf("%s", r)
	}
	equal(t, "after one that fails", trace(), "up 1, up 1, up 2, down 1, up 2, down 1, up 3, down 3")
	for _, name := range []string{"hookroll-web-1", "hookroll-web-2"} {
		equal(t, name, p.one(name).State, "running")
	}
	if got := p.sh("web", "echo $VERSION"); got != "2" {
		t.Errorf("version %s runs", got)
	}
}
