package reconcile

import (
	"context"
	"slices"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// adopt looks at what an earlier daemon left. What runs is supervised again and not touched. What has ended meanwhile is
// treated as if it had ended now, unless a user stopped it or it was killed, with the host perhaps: that is for the loop. What was
// half-made is removed.
func (e *Engine) adopt(ctx context.Context) error {
	if err := e.keep.ResumePaused(ctx); err != nil {
		return err
	}
	list, err := inventory.List(ctx, e.drivers, "")
	if err != nil {
		return err
	}
	if err := e.modernise(list); err != nil {
		return err
	}
	records := map[string]*wish.Record{}
	if err := e.wishes.Each(func(name string, raw []byte) error {
		if r, err := wish.Decode(raw); err == nil { // else the loop says so
			records[name] = r
		}
		return nil
	}); err != nil {
		return err
	}
	for _, c := range list {
		e.roster.Adopt(c)
	}
	if err := e.sweep(ctx); err != nil {
		return err
	}
	if err := e.keep.FinishDiscards(ctx, list); err != nil {
		return err
	}
	if err := e.keep.FinishCreations(ctx, list); err != nil {
		return err
	}
	for _, c := range list {
		e.keep.Forward.Adopt(c)
		switch {
		case c.Alone != nil: // below
		case c.Step != nil && e.strayStep(c, list):
			if err := e.keep.DiscardStep(ctx, c); err != nil {
				return err
			}
		case c.Alive():
			e.keep.Watch(c, c.StartedAt, false)
			e.keep.MeantToStop(c, records[c.Project])
		case (c.Status == runtime.Stopped || c.Status == runtime.Created) && c.OneOff && c.Remove:
			// run --rm, whose caller died with the daemon, perhaps before the start.
			if err := e.keep.Remove(ctx, c, true, nil); err != nil {
				return err
			}
		case c.Status == runtime.Stopped && c.Exit != nil && !c.OneOff && !c.Spare && e.healing.PolicyDecides(c, records[c.Project]):
			if r := records[c.Project]; r != nil && r.Pass != nil && !e.loop.Off() {
				// The command that was cut short may be what has ended it, to make it anew: its policy comes after that.
				e.healing.Postpone(c)
				continue
			}
			e.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit))
		default:
			e.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
		}
	}
	return e.singles.Adopt(ctx, list)
}

// strayStep says whether nobody goes on with a step: its container is gone, or a one-off whose caller died with the daemon.
func (e *Engine) strayStep(c *inventory.Container, list []*inventory.Container) bool {
	return !slices.ContainsFunc(list, func(of *inventory.Container) bool { return of.ID == c.Step.Of && !of.OneOff })
}

// sweep removes snapshots and sandboxes that no container has: the daemon died while it made or deleted one.
func (e *Engine) sweep(ctx context.Context) error {
	found, err := e.strays(ctx)
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := s.remove(ctx); err != nil {
			return err
		}
	}
	return nil
}
