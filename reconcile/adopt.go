package reconcile

import (
	"context"
	"errors"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
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
	for _, c := range list {
		switch {
		case c.Alone != nil: // below
		case c.Step != nil && e.strayStep(c, list):
			if err := e.keep.DiscardStep(ctx, c); err != nil {
				return err
			}
		case c.Alive():
			e.keep.Watch(c, c.StartedAt, false)
		case (c.Status == runtime.Stopped || c.Status == runtime.Created) && c.OneOff && c.Remove:
			// run --rm, whose caller died with the daemon, perhaps before the start.
			if err := e.keep.Remove(ctx, c, true, nil); err != nil {
				return err
			}
		case c.Status == runtime.Stopped && c.Exit != nil && !c.OneOff && !c.Spare && e.policyDecides(c, records[c.Project]):
			if r := records[c.Project]; r != nil && r.Pass != nil && !e.loop.Off() {
				// The command that was cut short may be what has ended it, to make it anew: its policy comes after that.
				e.postpone(c)
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

// postpone leaves c, which has ended, to its policy when the command that was cut short has come to its end.
func (e *Engine) postpone(c *inventory.Container) {
	e.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.postponed == nil {
		e.postponed = map[string][]string{}
	}
	e.postponed[c.Project] = append(e.postponed[c.Project], c.ID)
}

// leaveToPolicies is for the containers of project that adopt has postponed and that still do not run.
// Precondition: the project's turn is held, and r has no Pass.
func (e *Engine) leaveToPolicies(ctx context.Context, project string, r *wish.Record) error {
	e.mu.Lock()
	ids := e.postponed[project]
	delete(e.postponed, project)
	e.mu.Unlock()
	for _, id := range ids {
		c, err := inventory.ByID(ctx, e.drivers, id)
		switch {
		case errors.Is(err, errdefs.ErrNotFound): // made anew
		case err != nil:
			return err
		case c.Status == runtime.Stopped && c.Exit != nil && e.policyDecides(c, r):
			e.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit))
		}
	}
	return nil
}

// policyDecides says whether c, which has ended, is its restart policy's: no user has stopped it, and the loop is not about to
// start it, in its order.
func (e *Engine) policyDecides(c *inventory.Container, r *wish.Record) bool {
	return r == nil || !r.Off[c.Replica()] && (e.loop.Off() || inventory.Lost(c.Exit) == "" || !r.Services[c.Service])
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
