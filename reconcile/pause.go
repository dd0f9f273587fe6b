package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// Pause freezes the processes of the containers that run, dependents first. They stay frozen, whoever looks after them, until Unpause, or until they
// are stopped, restarted or killed.
func (e *Engine) Pause(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return e.freeze(ctx, project, o, sink, freezing{from: runtime.Running, already: "paused", working: "Pausing", done: "Paused", verb: "pause", backwards: true, do: e.drivers.Containers.Pause})
}

// Unpause lets the processes of paused containers go on, what they depend on first.
func (e *Engine) Unpause(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return e.freeze(ctx, project, o, sink, freezing{from: runtime.Paused, already: "running", working: "Unpausing", done: "Unpaused", verb: "unpause", do: e.drivers.Containers.Resume})
}

// freezing is one of the two ways.
type freezing struct {
	from                         runtime.Status // of the containers that are meant
	already, working, done, verb string
	backwards                    bool
	do                           func(ctx context.Context, id string) error
}

func (e *Engine) freeze(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink, f freezing) error {
	m, list, release, err := e.targets(ctx, project, o.Services)
	if err != nil {
		return err
	}
	defer release()
	m.TellAbsent(project, o.Services, sink)
	var due []*inventory.Container
	for _, c := range list {
		if c.Status == f.from {
			due = append(due, c)
		}
	}
	for _, s := range o.Services {
		if slices.ContainsFunc(due, func(c *inventory.Container) bool { return c.Service == s }) {
			continue
		}
		if slices.ContainsFunc(list, func(c *inventory.Container) bool { return c.Service == s && c.Alive() }) {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s service %q: it is %s already", f.verb, s, f.already))
		}
	}
	for _, c := range list {
		if len(o.Services) > 0 && !c.Alive() && sink != nil {
			sink(event.Event{Project: project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Warning, Text: "Not running"})
		}
	}
	return m.Each(ctx, due, f.backwards, func(c *inventory.Container) error {
		say := func(phase event.Phase, text, detail string) {
			e.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: phase, Text: text, Detail: detail})
		}
		say(event.Working, f.working, "")
		if err := f.do(ctx, c.ID); err != nil {
			err = fmt.Errorf("cannot %s container %s: %w", f.verb, c.Name, wording.Cause(err, c.ID, c.Name))
			say(event.Failed, "Error", err.Error())
			return err
		}
		say(event.Done, f.done, "")
		return nil
	})
}
