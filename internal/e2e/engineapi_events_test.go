package e2e

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/stackrun/stack/internal/sandbox"
)

// happened reads events until n have come.
func happened(t *testing.T, stream client.EventsResult, n int) (all []events.Message) {
	t.Helper()
	limit := time.After(sandbox.Patience)
	for len(all) < n {
		select {
		case m := <-stream.Messages:
			all = append(all, m)
		case err := <-stream.Err:
			t.Fatalf("after %v: %v", all, err)
		case <-limit:
			t.Fatalf("no more than %v", all)
		}
	}
	return all
}

// TestEngineAPIEvents: docker's client hears of a project what it would hear of dockerd, in docker's words.
func TestEngineAPIEvents(t *testing.T) {
	p := compose(t, "heard", `
services:
  web:
    image: busybox
    init: true
    command: [sleep, infinity]
    labels: {colour: red}
    stop_signal: SIGQUIT
`)
	c := p.host.dockerClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	mine := make(client.Filters).Add("label", "com.docker.compose.project=heard")
	stream := c.Events(ctx, client.EventsListOptions{Filters: mine})
	// The answer's header is there before anything happens: from then on nothing is missed.
	since := time.Now()
	p.up()
	p.ok("stop")
	p.ok("start")
	p.ok("kill")
	p.ok("down")
	var got []string
	for _, m := range happened(t, stream, 9) {
		a := m.Actor.Attributes
		if m.Type != events.ContainerEventType || a["name"] != "heard-web-1" || a["image"] != "busybox" || a["colour"] != "red" || len(m.Actor.ID) != 64 || m.TimeNano == 0 {
			t.Errorf("%+v", m)
		}
		line := string(m.Action)
		for _, key := range []string{"signal", "exitCode"} {
			if v, ok := a[key]; ok {
				line += " " + key + "=" + v
			}
		}
		got = append(got, line)
	}
	equal(t, "events", fmt.Sprint(got), "[create start kill signal=3 die exitCode=131 stop start kill signal=9 die exitCode=137 destroy]")

	// The same once more, of what is remembered.
	past := c.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("type", "network").Add("network", "heard_default"),
		Since: fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()), Until: strconv.FormatInt(time.Now().Unix()+1, 10)})
	got = nil
	for _, m := range happened(t, past, 2) {
		got = append(got, string(m.Action))
	}
	equal(t, "events of the network", fmt.Sprint(got), "[create destroy]")
}

// TestEngineAPIEventsOfForcedRemoval: a removal of what runs is a kill, its end and its removal, in this order, and no stop.
func TestEngineAPIEventsOfForcedRemoval(t *testing.T) {
	h := theHost(t)
	sandbox.LeavesNothing(t, h.objects()...)
	a := newEngineAPI(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 5 {
		id := a.create("", "exec sleep infinity", nil)
		a.start(id)
		stream := a.Events(ctx, client.EventsListOptions{Filters: make(client.Filters).Add("container", id).Add("event", "kill", "die", "stop", "destroy")})
		a.remove(id)
		var got []string
		for _, m := range happened(t, stream, 3) {
			got = append(got, string(m.Action)+m.Actor.Attributes["signal"]+m.Actor.Attributes["exitCode"])
		}
		equal(t, "events", fmt.Sprint(got), "[kill9 die137 destroy]")
	}
}
