package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
)

// adoptStandalone is adopt for containers that belong to no file. list are all that there are. See docs/adr/0068-containers-without-a-file.md.
func (e *Engine) adoptStandalone(ctx context.Context, list []*inventory.Container) error {
	records, err := e.alone.All()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range list {
		if c.Alone == nil {
			continue
		}
		there[c.ID] = true
		r, known := records[c.ID]
		if err := e.adoptOne(ctx, c, r, known); err != nil {
			return err
		}
	}
	for id, r := range records {
		switch {
		case there[id] || r == nil:
		case r.Removing != nil || r.Traits.AutoRemove || r.Making:
			err = e.finishRemoval(ctx, r)
		default:
			err = e.remake(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// adoptOne is adoptStandalone for one that is there. known says that it has a record; a nil one cannot be read.
func (e *Engine) adoptOne(ctx context.Context, c *inventory.Container, r *standalone.Record, known bool) error {
	switch {
	case (!known && !e.lost || r != nil && r.Making) && !c.Alive() && c.Exit == nil: // half-made
		return e.keep.Remove(ctx, c, true, nil)
	case r == nil: // the store was lost: what was asked for since the container was made is not known
		e.log.Warn("a container has lost its record, and gets one from what it says itself", "container", c.Name)
		r = &standalone.Record{ID: c.ID, Name: c.Name, CreatedAt: c.CreatedAt, Spec: c.Spec, ImageID: c.Image, Anonymous: c.Anonymous, Traits: *c.Alone}
		if !c.Alive() {
			r.Stopped = e.boot // in doubt it stays down
		}
		if !known { // else it was written by another program, which may come back
			if err := e.alone.Put(r); err != nil {
				return err
			}
		}
	}
	if err := e.agree(ctx, c, r); err != nil {
		return err
	}
	switch {
	case r.Removing != nil:
		e.laterFor(c, "remove", func(ctx context.Context, c *inventory.Container) error {
			return e.removeForced(ctx, c, r.Removing.Volumes)
		})
	case c.Alive():
		e.keep.Watch(c, c.StartedAt, false)
		c.Spec = r.Spec // as agreed
		if err := e.finishRewiring(ctx, c); err != nil {
			e.log.Warn("a container cannot be put on its networks; its next start does it", "container", c.Name, "error", err)
		}
		switch {
		case r.Last:
			e.group.Last(c.ID)
		case r.Stopped != "":
			e.laterFor(c, "stop", func(ctx context.Context, c *inventory.Container) error {
				if err := e.keep.StopOnly(ctx, c, nil, nil); err != nil {
					return err
				}
				return e.dropWithEnd(ctx, c)
			})
		case r.Owed && r.Ending.Equal(c.StartedAt):
			e.laterFor(c, "restart", func(ctx context.Context, c *inventory.Container) error {
				if err := e.keep.StopOnly(ctx, c, nil, nil); err != nil {
					return err
				}
				return e.startOwed(ctx, c)
			})
		case r.Owed: // it was started
			return e.alone.Change(c.ID, func(r *standalone.Record) bool { r.Owed = false; return true })
		}
	case c.Exit != nil && r.Owed:
		e.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
		e.laterFor(c, "start", e.startOwed)
	case c.Exit != nil && r.Traits.AutoRemove:
		return e.keep.Remove(ctx, c, true, nil)
	case c.Exit != nil && r.Stopped == "":
		e.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit)) // its policy decides: it ended while nobody looked, or with the host
	case c.Exit != nil && r.AfterBoot(e.boot, &standalone.End{Code: c.Exit.Code}):
		if err := e.alone.Change(c.ID, func(r *standalone.Record) bool { r.Stopped, r.Last = "", false; return true }); err != nil {
			return err
		}
		e.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit))
	default:
		e.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	}
	return nil
}

// laterFor does what a daemon that is no more has begun with c, beside everything else: it may take as long as a container takes to stop.
func (e *Engine) laterFor(c *inventory.Container, what string, do func(context.Context, *inventory.Container) error) {
	leave := e.loop.Enter()
	e.keep.Go(func() {
		defer leave()
		if err := do(e.life, c); err != nil && e.life.Err() == nil {
			e.log.Warn("what was begun with a container cannot be carried to its end", "container", c.Name, "what", what, "error", err)
		}
	})
}

// startOwed starts a container that was stopped to be started again.
func (e *Engine) startOwed(ctx context.Context, c *inventory.Container) error {
	if err := e.keep.Start(ctx, c.ID, nil); err != nil {
		return err
	}
	return e.alone.Change(c.ID, func(r *standalone.Record) bool { r.Owed = false; return true })
}

// finishRemoval takes away what is left of a container whose runtime record is gone already, or not there yet. Snapshot and sandbox go as those of nobody.
func (e *Engine) finishRemoval(ctx context.Context, r *standalone.Record) error {
	if r.Traits.AutoRemove || r.Making || r.Removing.Volumes {
		if err := e.volumes.DeleteAnonymous(ctx, &inventory.Container{Name: r.Name, Anonymous: r.Anonymous}); err != nil {
			return err
		}
	}
	return e.alone.Forget(r.ID)
}

// remake makes a container again whose files are gone: a power cut took them, or other hands did. What it had written into its root file system went with them.
// One that cannot be made stays on record, and is tried again by the next daemon.
func (e *Engine) remake(ctx context.Context, r *standalone.Record) error {
	_, err := e.keep.Create(ctx, lifecycle.Draft{Service: &plan.Service{}, Spec: r.Spec, Image: r.ImageID, Name: r.Name, ID: r.ID, Anonymous: r.Anonymous, Alone: &r.Traits})
	if err != nil {
		e.log.Warn("a container whose files are gone cannot be made again", "container", r.Name, "error", err)
		return nil
	}
	e.log.Warn("a container whose files were gone was made again; what it had written is lost", "container", r.Name)
	c, err := inventory.ByID(ctx, e.drivers, r.ID)
	if err != nil {
		return err
	}
	e.keep.Know(c)
	if policy := r.Spec.Restart.Name; r.Owed || r.Stopped == "" && (policy == "always" || policy == "unless-stopped") {
		e.laterFor(c, "start", e.startOwed) // it most likely ran when the power went
	}
	return nil
}
