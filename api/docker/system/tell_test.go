package system

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/event"
)

var began = time.Unix(1000, 5)

func exit(code int) *int { return &code }

// web is an event of a container, seconds after began.
func web(seconds int, text string, change ...func(*event.Event)) event.Event {
	ev := event.Event{Kind: "container", Name: "web", ID: "c1", Phase: event.Done, Text: text, Time: began.Add(time.Duration(seconds) * time.Second)}
	for _, c := range change {
		c(&ev)
	}
	return ev
}

func sigkill(ev *event.Event) { ev.Signal = "SIGKILL" }

func working(ev *event.Event) { ev.Phase = event.Working }

func actorOf(ev event.Event) event.Actor {
	if ev.Kind == "container" {
		return event.Actor{ID: "c1", Image: "busybox", Labels: map[string]string{"a": "b"}, StopSignal: unix.SIGQUIT}
	}
	return event.Actor{ID: ev.Name + "-id", Driver: "local"}
}

func told(all ...event.Event) string {
	t := newTeller(actorOf)
	var lines []string
	for _, ev := range all {
		for _, m := range t.tell(ev) {
			attributes := []string{}
			for k, v := range m.Actor.Attributes {
				if k != "a" && k != "image" && k != "name" {
					attributes = append(attributes, k+"="+v)
				}
			}
			slices.Sort(attributes)
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", m.Type, m.Action, strings.Join(attributes, " "))))
		}
	}
	return strings.Join(lines, "\n")
}

func TestTell(t *testing.T) {
	for what, c := range map[string]struct {
		events []event.Event
		want   string
	}{
		"a life": {[]event.Event{
			web(0, "Creating", working), web(0, "Created"), web(1, "Starting", working), web(1, "Started"), web(2, "Healthy"),
			web(2, "Healthy", func(ev *event.Event) { ev.Awaited = true }), web(5, "Exited", func(ev *event.Event) { ev.Exit = exit(3) }), web(6, "Removing", working), web(6, "Removed"),
		}, "container create\ncontainer start\ncontainer health_status: healthy\ncontainer die execDuration=4 exitCode=3\ncontainer destroy"},
		"a stop": {[]event.Event{web(0, "Stopping", working), web(1, "Exited", func(ev *event.Event) { ev.Exit = exit(0) }), web(1, "Stopped")},
			"container kill signal=3\ncontainer die exitCode=0\ncontainer stop"},
		"a stop of what has ended": {[]event.Event{web(0, "Stopping", working), web(1, "Stopped"), web(1, "Removed")},
			"container kill signal=3\ncontainer stop\ncontainer destroy"},
		"a stop by another signal": {[]event.Event{web(0, "Stopping", working, func(ev *event.Event) { ev.Signal = "SIGHUP" }), web(1, "Exited"), web(1, "Stopped")},
			"container kill signal=1\ncontainer die\ncontainer stop"},
		"a kill": {[]event.Event{web(0, "Killing", working, sigkill), web(1, "Exited", func(ev *event.Event) { ev.Exit = exit(137) }), web(1, "Killed", sigkill), web(1, "Removed")},
			"container kill signal=9\ncontainer die exitCode=137\ncontainer destroy"},
		"a kill that failed": {[]event.Event{web(0, "Killing", working, sigkill), web(0, "Error", func(ev *event.Event) { ev.Phase = event.Failed })},
			"container kill signal=9"},
		"a kill during a stop": {[]event.Event{web(0, "Stopping", working), web(1, "Killing", working, sigkill), web(1, "Killed", sigkill), web(1, "Exited"), web(1, "Stopped")},
			"container kill signal=3\ncontainer kill signal=9\ncontainer die\ncontainer stop"},
		"a restart": {[]event.Event{web(0, "Stopping", working), web(1, "Exited"), web(1, "Stopped"), web(2, "Restarted")},
			"container kill signal=3\ncontainer die\ncontainer stop\ncontainer start\ncontainer restart"},
		"a policy's restart": {[]event.Event{web(0, "Exited", func(ev *event.Event) { ev.Exit = exit(1) }), web(0, "Restarting", working), web(2, "Restarted", func(ev *event.Event) { ev.ByPolicy = true })},
			"container die exitCode=1\ncontainer start"},
		"other things": {[]event.Event{web(0, "Paused"), web(0, "Unpaused"), web(0, "Renamed", func(ev *event.Event) { ev.Detail = "old" }), web(0, "Updated"),
			web(0, "Unhealthy", func(ev *event.Event) { ev.Phase = event.Warning }), web(0, "Error", func(ev *event.Event) { ev.Phase = event.Failed }), web(0, "Mended")},
			"container pause\ncontainer unpause\ncontainer rename oldName=/old\ncontainer update\ncontainer health_status: unhealthy"},
		"what is no container": {[]event.Event{
			{Kind: "network", Name: "n", Phase: event.Done, Text: "Created"}, {Kind: "network", Name: "n", Phase: event.Done, Text: "Connected", Detail: "c1"}, {Kind: "network", Name: "n", Phase: event.Done, Text: "Removed"},
			{Kind: "volume", Name: "v", Phase: event.Done, Text: "Created"}, {Kind: "volume", Name: "v", Phase: event.Done, Text: "Removed"},
			{Kind: "image", Name: "i:1", Phase: event.Working, Text: "Pulling"}, {Kind: "image", Name: "i:1", Phase: event.Done, Text: "Pulled"}, {Kind: "image", Name: "i:1", Phase: event.Done, Text: "Removed"},
			{Kind: "project", Name: "p", Phase: event.Done, Text: "Created"}},
			"network create type=local\nnetwork connect container=c1 type=local\nnetwork destroy type=local\nvolume create driver=local\nvolume destroy driver=local\nimage pull\nimage delete"},
	} {
		if got := told(c.events...); got != c.want {
			t.Errorf("%s:\n%s\nexpected:\n%s", what, got, c.want)
		}
	}
}

func TestMessage(t *testing.T) {
	m := newTeller(actorOf).tell(web(0, "Started"))[0]
	if m.Time != 1000 || m.TimeNano != 1000*1e9+5 || m.Scope != "local" || m.Actor.ID != "c1" || m.Actor.Attributes["a"] != "b" || m.Actor.Attributes["image"] != "busybox" || m.Actor.Attributes["name"] != "web" {
		t.Errorf("%+v", m)
	}
	if o := old(m); o.Status != "start" || o.Old != "c1" || o.From != "busybox" {
		t.Errorf("%+v", o)
	}
}

func TestWanted(t *testing.T) {
	healthy := newTeller(actorOf).tell(web(0, "Healthy"))[0]
	made := newTeller(actorOf).tell(event.Event{Kind: "network", Name: "n", Phase: event.Done, Text: "Created"})[0]
	for _, c := range []struct {
		filters         wire.Filters
		healthy, netted bool
	}{
		{wire.Filters{}, true, true},
		{wire.Filters{"type": {"container"}}, true, false},
		{wire.Filters{"event": {"health_status"}}, true, false},
		{wire.Filters{"event": {"health_status: healthy", "create"}}, true, true},
		{wire.Filters{"container": {"c1"}}, true, false},
		{wire.Filters{"container": {"we"}}, true, false},
		{wire.Filters{"container": {"db"}}, false, false},
		{wire.Filters{"network": {"n"}}, false, true},
		{wire.Filters{"label": {"a=b"}}, true, false},
		{wire.Filters{"label": {"a=c"}}, false, false},
		{wire.Filters{"image": {"busybox"}}, true, false},
		{wire.Filters{"scope": {"swarm"}}, false, false},
		{wire.Filters{"node": {"x"}}, false, false},
	} {
		if got := wanted(c.filters, healthy); got != c.healthy {
			t.Errorf("%v: %v for the container", c.filters, got)
		}
		if got := wanted(c.filters, made); got != c.netted {
			t.Errorf("%v: %v for the network", c.filters, got)
		}
	}
}
