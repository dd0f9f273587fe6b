package reconcile

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
)

// EventActor is what there is to say of whom an Event is about, for those who tell it on.
type EventActor struct {
	ID         string            // of the container or network; the name of what has no id
	Image      string            // of a container: the reference that it was made from
	Labels     map[string]string // of a container, as clients see them. Read only
	StopSignal unix.Signal       // of a container
	Driver     string            // of a network or volume
}

// actorOf is c for its events, some of which come when it is gone.
func actorOf(c *inventory.Container) *EventActor {
	a := &EventActor{ID: c.ID, Image: c.Spec.Image, Labels: c.Labels, StopSignal: unix.SIGTERM}
	if c.Alone != nil {
		a.Labels = c.Alone.Labels
	}
	if c.Config != nil {
		if sig, err := signals.Parse(cmp.Or(c.Config.StopSignal, "SIGTERM")); err == nil {
			a.StopSignal = sig
		}
	}
	return a
}

// EventActor says whom ev is about. Of what is gone it may know no more than the name.
func (e *Engine) EventActor(ctx context.Context, ev event.Event) EventActor {
	switch ev.Kind {
	case "container":
		return e.containerActor(ctx, ev)
	case "network":
		a := EventActor{ID: cmp.Or(ev.ID, ev.Name), Driver: "bridge"}
		if d, err := e.networks.ByName(ctx, ev.Name); err == nil {
			a.ID, a.Driver = d.ID, d.Driver
		}
		return a
	case "volume":
		return EventActor{ID: ev.Name, Driver: "local"}
	}
	return EventActor{ID: cmp.Or(ev.ID, ev.Name)}
}

func (e *Engine) containerActor(ctx context.Context, ev event.Event) EventActor {
	if ev.ID == "" { // what is only just being made has none yet for those who tell of it
		list, err := inventory.List(ctx, e.drivers, ev.Project)
		i := slices.IndexFunc(list, func(c *inventory.Container) bool { return c.Name == ev.Name })
		if err != nil || i < 0 {
			return EventActor{ID: ev.Name}
		}
		return *actorOf(list[i])
	}
	if n, there, gone := e.nameOf(ev.ID); (there || gone) && n.actor != nil {
		return *n.actor
	}
	if c, err := inventory.ByID(ctx, e.drivers, ev.ID); err == nil {
		return *actorOf(c)
	}
	return EventActor{ID: ev.ID}
}
