package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/runtime"
)

// Logs delivers the output of a project's containers, in order of time across them as far as it is written when the call
// begins; Tail counts per container. With Follow it goes on with what they write as it comes, and with containers that
// appear later, until ctx ends or nothing runs any more. each is never called from two goroutines at once.
func (e *Engine) Logs(ctx context.Context, project string, o ask.LogOptions, each func(ask.LogEntry) error) error {
	defer e.loop.Enter()()
	return e.output.Read(ctx, project, o, each)
}

// tellLogs sends an event when a container's output cannot be written to its log, and when it can again.
func (e *Engine) tellLogs(events <-chan runtime.Event) {
	for x := range events {
		if x.Kind != runtime.EventLog {
			continue
		}
		c, ok := e.roster.Get(x.ID)
		if !ok {
			continue // being started: its state says it
		}
		ev := event.Event{Project: c.Project, Kind: "container", Name: c.Name, Service: c.Service, Time: x.At, Phase: event.Warning, Text: output.Incomplete, Detail: x.Detail}
		if x.Detail == "" {
			ev.Phase, ev.Text = event.Done, output.WrittenAgain
		}
		e.hub.Say(nil, ev)
	}
}
