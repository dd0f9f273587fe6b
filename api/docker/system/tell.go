package system

import (
	"maps"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/event"
)

// teller says what the engine tells in docker's words, of which there may be several for one of ours, or none.
type teller struct {
	actor func(event.Event) event.Actor
	begun map[string]time.Time // when containers were started, by id
}

func newTeller(actor func(event.Event) event.Actor) *teller {
	return &teller{actor: actor, begun: map[string]time.Time{}}
}

// tell is ev in docker's words, in their order.
func (t *teller) tell(ev event.Event) []events.Message {
	if ev.Awaited {
		return nil // it says what there is, and not that it has come about
	}
	var actions []events.Action
	switch ev.Kind {
	case "container":
		actions = t.container(ev)
	case "network":
		actions = word(ev, map[string]events.Action{"Created": "create", "Removed": "destroy", "Connected": "connect", "Disconnected": "disconnect"})
	case "volume":
		actions = word(ev, map[string]events.Action{"Created": "create", "Removed": "destroy"})
	case "image":
		actions = word(ev, map[string]events.Action{
			"Pulled": "pull", "Pushed": "push", "Loaded": "load", "Imported": "import", "Saved": "save", "Tagged": "tag", "Untagged": "untag", "Removed": "delete", "Deleted": "delete",
		})
	}
	if len(actions) == 0 {
		return nil
	}
	a := t.actor(ev)
	var all []events.Message
	for _, action := range actions {
		m := events.Message{Type: events.Type(ev.Kind), Action: action, Scope: "local", Time: ev.Time.Unix(), TimeNano: ev.Time.UnixNano(),
			Actor: events.Actor{ID: a.ID, Attributes: map[string]string{}}}
		t.attributes(m, ev, a)
		all = append(all, m)
	}
	return all
}

// word is the action of an event that is done and has one.
func word(ev event.Event, words map[string]events.Action) []events.Action {
	if action := words[ev.Text]; action != "" && ev.Phase == event.Done {
		return []events.Action{action}
	}
	return nil
}

// container: what docker tells of a stop is that a signal was sent, that the container died, and that it was stopped; of a kill the first two; of a restart by a user all that, the start and
// the restart; of a restart by its policy the start.
func (t *teller) container(ev event.Event) []events.Action {
	switch {
	case ev.Phase == event.Working && (ev.Text == "Stopping" || ev.Text == "Killing"):
		return []events.Action{events.ActionKill}
	case ev.Text == "Unhealthy":
		return []events.Action{events.ActionHealthStatusUnhealthy}
	case ev.Phase != event.Done:
		return nil
	}
	switch ev.Text {
	case "Started":
		t.begun[ev.ID] = ev.Time
		return []events.Action{events.ActionStart}
	case "Restarted":
		t.begun[ev.ID] = ev.Time
		if ev.ByPolicy {
			return []events.Action{events.ActionStart}
		}
		return []events.Action{events.ActionStart, events.ActionRestart}
	}
	return word(ev, map[string]events.Action{
		"Created": events.ActionCreate, "Exited": events.ActionDie, "Removed": events.ActionDestroy, "Paused": events.ActionPause, "Unpaused": events.ActionUnPause,
		"Stopped": events.ActionStop, "Renamed": events.ActionRename, "Updated": events.ActionUpdate, "Healthy": events.ActionHealthStatusHealthy,
	})
}

// attributes fills in docker's, over the labels of a container.
func (t *teller) attributes(m events.Message, ev event.Event, a event.Actor) {
	to := m.Actor.Attributes
	switch ev.Kind {
	case "container":
		maps.Copy(to, a.Labels)
		to["image"], to["name"] = a.Image, ev.Name
		switch m.Action {
		case events.ActionDie:
			if ev.Exit != nil {
				to["exitCode"] = strconv.Itoa(*ev.Exit)
			}
			if begun, ok := t.begun[ev.ID]; ok {
				to["execDuration"] = strconv.Itoa(int(ev.Time.Sub(begun).Seconds()))
				delete(t.begun, ev.ID)
			}
		case events.ActionKill:
			to["signal"] = strconv.Itoa(int(signal(ev, a.StopSignal)))
		case events.ActionRename:
			to["oldName"] = "/" + ev.Detail
		}
	case "network":
		to["name"], to["type"] = ev.Name, a.Driver
		if m.Action == events.ActionConnect || m.Action == events.ActionDisconnect {
			to["container"] = ev.Detail
		}
	case "volume":
		to["driver"] = a.Driver
	default:
		to["name"] = ev.Name
	}
}

// signal is the one that ev was a sending of: a kill names it, a stop sends the container's own.
func signal(ev event.Event, own unix.Signal) unix.Signal {
	if n := unix.SignalNum(ev.Signal); n != 0 {
		return n
	}
	if ev.Text != "Stopping" {
		return unix.SIGKILL
	}
	return own
}
