package reconcile

import (
	"cmp"
	"context"
	"slices"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/roster"
)

// EventActor says whom ev is about. Of what is gone it may know no more than the name.
func (e *Engine) EventActor(ctx context.Context, ev event.Event) event.Actor {
	switch ev.Kind {
	case "container":
		return e.containerActor(ctx, ev)
	case "network":
		a := event.Actor{ID: cmp.Or(ev.ID, ev.Name), Driver: "bridge"}
		if d, err := e.networks.ByName(ctx, ev.Name); err == nil {
			a.ID, a.Driver = d.ID, d.Driver
		}
		return a
	case "volume":
		return event.Actor{ID: ev.Name, Driver: "local"}
	}
	return event.Actor{ID: cmp.Or(ev.ID, ev.Name)}
}

func (e *Engine) containerActor(ctx context.Context, ev event.Event) event.Actor {
	if ev.ID == "" { // what is only just being made has none yet for those who tell of it
		list, err := inventory.List(ctx, e.drivers, ev.Project)
		i := slices.IndexFunc(list, func(c *inventory.Container) bool { return c.Name == ev.Name })
		if err != nil || i < 0 {
			return event.Actor{ID: ev.Name}
		}
		return *roster.Actor(list[i])
	}
	if n, there, gone := e.roster.Find(ev.ID); (there || gone) && n.Actor != nil {
		return *n.Actor
	}
	if c, err := inventory.ByID(ctx, e.drivers, ev.ID); err == nil {
		return *roster.Actor(c)
	}
	return event.Actor{ID: ev.ID}
}
