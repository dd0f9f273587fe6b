package e2e

import "testing"

// TestPauseBesideOthers: who waits for a paused container is told so and waits for nobody; a stop runs the hooks before it; what the file says
// anew is made anew.
func TestPauseBesideOthers(t *testing.T) {
	file := func(mode string) string {
		return `
services:
  db:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; touch /ready; while :; do sleep 0.1; done"]
    environment: {MODE: ` + mode + `}
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 100ms, start_period: 1h}
    volumes: ["data:/data"]
    pre_stop: [{command: ["sh", "-c", "echo $$MODE >> /data/hooks"]}]
  slow:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "false"], interval: 1h, start_period: 1h, start_interval: 1h}
  web:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: {slow: {condition: service_healthy}}
volumes: {data: {}}
`
	}
	p := compose(t, "pausewith", file("one"))
	p.ok("up", "--detach", "--wait", "db")
	p.ok("up", "--detach", "slow")
	p.ok("pause", "db", "slow")
	paused := []string{"container pausewith-db-1 is paused", "stack unpause db"}
	p.fails(1, paused, "up", "--detach", "--wait", "db")
	p.fails(1, append(paused, `cannot start service "db"`), "start", "db")
	p.ok("start")
	equal(t, "db, after a start of all", p.one("pausewith-db-1").State, "paused")
	p.fails(1, []string{"container pausewith-slow-1 is paused", "stack unpause slow"}, "up", "--detach", "web")

	id := p.one("pausewith-db-1").ID
	p.write("compose.yaml", file("two"))
	p.ok("up", "--detach", "db")
	if again := p.one("pausewith-db-1"); again.ID == id || again.State != "running" {
		t.Errorf("changed in the file: %+v, it was %s", again, id)
	}
	p.ok("pause", "db")
	p.ok("stop", "db")
	equal(t, "db, stopped", p.one("pausewith-db-1").State, "exited")
	p.ok("up", "--detach", "db")
	p.ok("pause", "db")
	p.ok("restart", "--timeout", "60", "db")
	equal(t, "the hooks of each stop", p.sh("db", "cat /data/hooks"), "one\ntwo\ntwo")
}
