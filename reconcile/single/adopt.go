package single

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
)

// Adopt takes over the containers that belong to no file. list are all that there are. See docs/adr/0068-containers-without-a-file.md.
func (cs *Containers) Adopt(ctx context.Context, list []*inventory.Container) error {
	records, err := cs.alone.All()
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
		if err := cs.adoptOne(ctx, c, r, known); err != nil {
			return err
		}
	}
	for id, r := range records {
		switch {
		case there[id] || r == nil:
		case r.Removing != nil || r.Traits.AutoRemove || r.Making:
			err = cs.finishRemoval(ctx, r)
		default:
			err = cs.remake(ctx, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// adoptOne is Adopt for one that is there. known says that it has a record; a nil one cannot be read.
func (cs *Containers) adoptOne(ctx context.Context, c *inventory.Container, r *standalone.Record, known bool) error {
	switch {
	case (!known && !cs.lost || r != nil && r.Making) && !c.Alive() && c.Exit == nil: // half-made
		return cs.keep.Remove(ctx, c, true, nil)
	case r == nil: // the store was lost: what was asked for since the container was made is not known
		cs.log.Warn("a container has lost its record, and gets one from what it says itself", "container", c.Name)
		r = &standalone.Record{ID: c.ID, Name: c.Name, CreatedAt: c.CreatedAt, Spec: c.Spec, ImageID: c.Image, Anonymous: c.Anonymous, Traits: *c.Alone}
		if !c.Alive() {
			r.Stopped = cs.boot // in doubt it stays down
		}
		if !known { // else it was written by another program, which may come back
			if err := cs.alone.Put(r); err != nil {
				return err
			}
		}
	}
	if err := cs.agree(ctx, c, r); err != nil {
		return err
	}
	c.Name = r.Name
	cs.roster.Rename(c.ID, r.Name) // a daemon that died in the middle of it has put it down
	switch {
	case r.Removing != nil:
		cs.laterFor(c, "remove", func(ctx context.Context, c *inventory.Container) error {
			return cs.removeForced(ctx, c, r.Removing.Volumes)
		})
	case c.Alive():
		cs.keep.Watch(c, c.StartedAt, false)
		c.Spec = r.Spec // as agreed
		if err := cs.finishRewiring(ctx, c); err != nil {
			cs.log.Warn("a container cannot be put on its networks; its next start does it", "container", c.Name, "error", err)
		}
		switch {
		case r.Last:
			cs.group.Last(c.ID)
		case r.Stopped != "":
			cs.laterFor(c, "stop", func(ctx context.Context, c *inventory.Container) error {
				if err := cs.keep.StopOnly(ctx, c, nil, nil); err != nil {
					return err
				}
				return cs.dropWithEnd(ctx, c)
			})
		case r.Owed && r.Ending.Equal(c.StartedAt):
			cs.laterFor(c, "restart", func(ctx context.Context, c *inventory.Container) error {
				if err := cs.keep.StopOnly(ctx, c, nil, nil); err != nil {
					return err
				}
				return cs.startOwed(ctx, c)
			})
		case r.Owed: // it was started
			return cs.alone.Change(c.ID, func(r *standalone.Record) bool { r.Owed = false; return true })
		}
	case c.Exit != nil && r.Owed && (r.Debt().Due(c.StartedAt) || inventory.Lost(c.Exit) != ""):
		cs.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
		cs.laterFor(c, "start", cs.startOwed)
	case c.Exit != nil && r.Traits.AutoRemove:
		return cs.keep.Remove(ctx, c, true, nil)
	case c.Exit != nil && r.Stopped == "":
		cs.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit)) // its policy decides: it ended while nobody looked, or with the host
	case c.Exit != nil && r.AfterBoot(cs.boot, &standalone.End{Code: c.Exit.Code}):
		if err := cs.alone.Change(c.ID, func(r *standalone.Record) bool { r.Stopped, r.Last = "", false; return true }); err != nil {
			return err
		}
		cs.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit))
	default:
		cs.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	}
	return nil
}

// laterFor does what a daemon that is no more has begun with c, beside everything else: it may take as long as a container takes to stop.
func (cs *Containers) laterFor(c *inventory.Container, what string, do func(context.Context, *inventory.Container) error) {
	leave := cs.turns.Enter()
	cs.keep.Go(func() {
		defer leave()
		if err := do(cs.life, c); err != nil && cs.life.Err() == nil {
			cs.log.Warn("what was begun with a container cannot be carried to its end", "container", c.Name, "what", what, "error", err)
		}
	})
}

// startOwed starts a container that was stopped to be started again.
func (cs *Containers) startOwed(ctx context.Context, c *inventory.Container) error {
	if err := cs.keep.Start(ctx, c.ID, nil); err != nil {
		return err
	}
	return cs.alone.Change(c.ID, func(r *standalone.Record) bool { r.Owed = false; return true })
}

// finishRemoval takes away what is left of a container whose runtime record is gone already, or not there yet. Snapshot and sandbox go as those of nobody.
func (cs *Containers) finishRemoval(ctx context.Context, r *standalone.Record) error {
	if r.Traits.AutoRemove || r.Making || r.Removing.Volumes {
		if err := cs.volumes.DeleteAnonymous(ctx, &inventory.Container{Name: r.Name, Anonymous: r.Anonymous}); err != nil {
			return err
		}
	}
	return cs.alone.Forget(r.ID)
}

// remake makes a container again whose files are gone: a power cut took them, or other hands did. What it had written into its root file system went with them.
// One that cannot be made stays on record, and is tried again by the next daemon.
func (cs *Containers) remake(ctx context.Context, r *standalone.Record) error {
	_, err := cs.keep.Create(ctx, lifecycle.Draft{Service: &plan.Service{}, Spec: r.Spec, Image: r.ImageID, Name: r.Name, ID: r.ID, Anonymous: r.Anonymous, Alone: &r.Traits})
	if err != nil {
		cs.log.Warn("a container whose files are gone cannot be made again", "container", r.Name, "error", err)
		return nil
	}
	cs.log.Warn("a container whose files were gone was made again; what it had written is lost", "container", r.Name)
	c, err := inventory.ByID(ctx, cs.drivers, r.ID)
	if err != nil {
		return err
	}
	cs.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	if policy := r.Spec.Restart.Name; r.Owed || r.Stopped == "" && (policy == "always" || policy == "unless-stopped") {
		cs.laterFor(c, "start", cs.startOwed) // it most likely ran when the power went
	}
	return nil
}
