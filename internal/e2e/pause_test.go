package e2e

import (
	"strings"
	"testing"
)

// TestPause: a paused service answers nothing and keeps its place, health checks do not count meanwhile, and it goes on where it was.
func TestPause(t *testing.T) {
	p := compose(t, "pause", `
services:
  app:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=$$((i+1)); echo $$i >/count; sleep 0.05; done"]
    healthcheck: {test: ["CMD", "test", "-e", "/count"], interval: 100ms, retries: 1, start_period: 1h} # -e: while it is written it is empty
  other:
    image: busybox
    command: [sleep, infinity]
`)
	p.ok("up", "--detach", "--wait")
	id := p.one("pause-app-1").ID
	p.ok("pause", "app")
	equal(t, "state", p.one("pause-app-1").State+" "+p.one("pause-other-1").State, "paused running")
	contains(t, "ps", p.ok("ps"), "(Paused)")
	p.fails(1, []string{"is paused", "stack unpause app"}, "exec", "app", "true")
	p.fails(1, []string{`cannot pause service "app"`, "it is paused already"}, "pause", "app")
	p.fails(1, []string{"no such service: nobody"}, "pause", "nobody")
	p.ok("up", "--detach")
	equal(t, "after an up", p.one("pause-app-1").State, "paused")
	p.ok("unpause")
	before := p.sh("app", "cat /count")
	p.eventually("it counts on", func() bool { return p.sh("app", "cat /count") != before })
	equal(t, "the same container", p.one("pause-app-1").ID, id)
	if log := p.ok("events", "--since", "10m", "--until", "0s"); strings.Count(log, "container pause "+id) != 1 || !strings.Contains(log, "container unpause ") || strings.Contains(log, "unhealthy") {
		t.Errorf("events:\n%s", log)
	}
	p.ok("pause")
	p.ok("stop", "--timeout", "120", "app")
	equal(t, "stopped while paused", p.one("pause-app-1").State, "exited")
	p.ok("kill", "other")
	p.eventually("killed while paused", func() bool { return p.one("pause-other-1").State == "exited" })
}
