package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// Texts of the events that tell of a log.
const (
	logIncomplete = "Log incomplete"
	logWritten    = "Log written again"
)

// tellLogs sends an event when a container's output cannot be written to its log, and when it can again.
func (e *Engine) tellLogs(events <-chan runtime.Event) {
	for x := range events {
		if x.Kind != runtime.EventLog {
			continue
		}
		e.mu.Lock()
		c, ok := e.names[x.ID]
		e.mu.Unlock()
		if !ok {
			continue // being started: its state says it
		}
		ev := event.Event{Project: c.project, Kind: "container", Name: c.name, Service: c.service, Time: x.At, Phase: event.Warning, Text: logIncomplete, Detail: x.Detail}
		if x.Detail == "" {
			ev.Phase, ev.Text = event.Done, logWritten
		}
		e.hub.Say(nil, ev)
	}
}

// lossNotice is what readers of a log are told while output does not get into it.
func lossNotice(why string) string { return "output is not logged at present: " + why }

// tellLosses tells of logs that are incomplete at present.
func (f *follower) tellLosses(list []*inventory.Container) error {
	for _, c := range list {
		if c.LogError != "" {
			if err := f.notice(c)(lossNotice(c.LogError)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellEvent tells of one that becomes so while it is followed.
func (f *follower) tellEvent(ctx context.Context, ev event.Event) error {
	if ev.Text != logIncomplete {
		return nil
	}
	list, err := f.engine.logged(ctx, f.project, f.options)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Name == ev.Name {
			return f.notice(c)(lossNotice(ev.Detail))
		}
	}
	return nil
}
