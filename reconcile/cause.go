package reconcile

import (
	"strings"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
)

// sayCauses tells, before anything happens, which containers are made anew or restarted, and why.
func (e *Engine) sayCauses(pl *plan.Plan, sink event.Sink) {
	for _, c := range pl.Changes {
		text := map[plan.Action]string{plan.Replace: "Recreate", plan.Restart: "Restart"}[c.Action]
		if text == "" || c.ID.Kind != plan.KindContainer {
			continue
		}
		var why []string
		for _, r := range c.Reasons {
			why = append(why, wording.Redact(r).String())
		}
		e.hub.Say(sink, event.Event{Project: pl.Project, Kind: string(c.ID.Kind), Name: c.Name, Service: c.ID.Name, Phase: event.Working, Text: text, Detail: strings.Join(why, "; ")})
	}
}
