package single

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// take finds the container that ref means and takes the turn that a verb on it needs: its project's, if it has one.
func (cs *Containers) take(ctx context.Context, ref string) (c *inventory.Container, release func(), err error) {
	if c, err = inventory.ByRef(ctx, cs.drivers, ref); err != nil {
		return nil, nil, err
	}
	if c.Alone != nil {
		return c, cs.turns.Enter(), nil
	}
	if release, err = cs.turns.Pass(ctx, c.Project); err != nil {
		return nil, nil, err
	}
	name := c.Name
	if c, err = inventory.ByID(ctx, cs.drivers, c.ID); err != nil {
		release()
		return nil, nil, wording.Cause(err, ref, name)
	}
	return c, release, nil
}

// Start starts a container. already: it runs, and nothing was done.
func (cs *Containers) Start(ctx context.Context, ref string) (already bool, err error) {
	c, release, err := cs.take(ctx, ref)
	if err != nil {
		return false, err
	}
	defer release()
	switch {
	case c.Status == runtime.Paused:
		return false, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot start container %s: it is paused; unpause it instead", c.Name))
	case c.Alive():
		return true, nil
	}
	if c.Alone != nil {
		return false, cs.startAlone(ctx, c)
	}
	cs.turns.Pardon(c.Project)
	if len(c.Spec.PreStart) > 0 {
		all, err := inventory.ListService(ctx, cs.drivers, c.Project, c.Service)
		if err == nil {
			err = cs.keep.PreStart(ctx, c, plan.StepsBefore(c.Spec.PreStart, !inventory.Serves(all, c.Service)), nil, func() {})
		}
		if err != nil {
			return false, fmt.Errorf("cannot start container %s: %w", c.Name, err)
		}
	}
	if err := cs.keep.Start(ctx, c.ID, nil); err != nil {
		return false, fmt.Errorf("cannot start container %s: %w", c.Name, err)
	}
	cs.hub.Say(nil, c.Event(event.Done, "Started", ""))
	return false, cs.wishes.Change(c.Project, wish.On(inventory.Replicas([]*inventory.Container{c})))
}

// startAlone starts c, which belongs to no file and does not run. One that goes with its end goes when it cannot be started.
func (cs *Containers) startAlone(ctx context.Context, c *inventory.Container) error {
	var removing bool
	// Before it: one that runs although it was stopped would be stopped again by the next daemon.
	if err := cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		removing = r.Removing != nil
		changed := r.Stopped != "" && !removing
		if changed {
			r.Stopped, r.Last = "", false
		}
		return changed
	}); err != nil {
		return err
	}
	if removing {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot start container %s: it is being removed", c.Name))
	}
	// Who asks may go; what was begun is not left half done for it.
	if err := cs.keep.Start(context.WithoutCancel(ctx), c.ID, nil); err != nil {
		err = fmt.Errorf("cannot start container %s: %w", c.Name, err)
		if c.Alone.AutoRemove {
			err = errors.Join(err, cs.keep.Remove(context.WithoutCancel(ctx), c, true, nil))
		}
		return err
	}
	cs.hub.Say(nil, c.Event(event.Done, "Started", ""))
	return nil
}

// StopOptions of Single.
type StopOptions struct {
	Timeout *time.Duration // until it is killed; nil = the container's own, negative = never
	Signal  string         // "" = the container's own
}

// forEver is a timeout that nobody sees the end of.
const forEver = time.Duration(math.MaxInt64 / 2)

// Stop ends a container for good: until somebody starts it. already: it does not run, and will not of itself.
func (cs *Containers) Stop(ctx context.Context, ref string, o StopOptions) (already bool, err error) {
	c, release, err := cs.take(ctx, ref)
	if err != nil {
		return false, err
	}
	defer release()
	if sv, _ := cs.group.Status(c.ID); !c.Alive() && sv.State != supervise.Backoff {
		return true, nil
	}
	if err := cs.markStopped(c); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx) // it is on record: it happens
	if err := cs.stopAs(ctx, c, o); err != nil {
		if c.Alone == nil { // its pre_stop has refused
			err = cs.keep.Spare(c.Project, []*inventory.Container{c}, err)
		}
		return false, err
	}
	return false, cs.dropWithEnd(ctx, c)
}

// markStopped records that a user has stopped c, so that nothing starts it again.
func (cs *Containers) markStopped(c *inventory.Container) error {
	if c.Alone == nil {
		return cs.wishes.Change(c.Project, wish.Killed(inventory.Runs([]*inventory.Container{c})))
	}
	return cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		changed := r.Stopped != cs.boot || r.Owed || r.Last
		r.Stopped, r.Owed, r.Last = cs.boot, false, false
		return changed
	})
}

// markLast records of c, which belongs to no file, that nothing starts it again when it ends, and that it may take its time.
func (cs *Containers) markLast(c *inventory.Container) error {
	return cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		if r.Stopped == cs.boot { // it is being stopped, which is more
			return false
		}
		r.Stopped, r.Owed, r.Last = cs.boot, false, true
		return true
	})
}

// dropWithEnd removes c, which was ended by a user, if it goes with its end and nobody else sees to that.
func (cs *Containers) dropWithEnd(ctx context.Context, c *inventory.Container) error {
	if !c.Remove || cs.roster.Held(c.ID) {
		return nil
	}
	if err := cs.keep.Remove(ctx, c, true, nil); !errors.Is(err, errdefs.ErrNotFound) {
		return err
	}
	return nil // who saw its end was first
}

// stopAs ends the run of c as o says, its hooks first.
func (cs *Containers) stopAs(ctx context.Context, c *inventory.Container, o StopOptions) error {
	grace := o.Timeout
	if grace != nil && *grace < 0 {
		long := forEver
		grace = &long
	}
	if o.Signal == "" {
		return cs.keep.Stop(ctx, c, grace, nil)
	}
	sig, err := signals.Parse(o.Signal)
	if err != nil {
		return err
	}
	if err := cs.keep.PreStop(ctx, c, nil); err != nil {
		return fmt.Errorf("cannot stop container %s: %w", c.Name, err)
	}
	return cs.keep.StopBy(ctx, c, sig, grace, nil)
}

// Restart stops a container that runs, and starts it.
func (cs *Containers) Restart(ctx context.Context, ref string, o StopOptions) error {
	c, release, err := cs.take(ctx, ref)
	if err != nil {
		return err
	}
	defer release()
	if c.Alive() {
		if err := cs.keep.Reserve(ctx, c.ID); err != nil {
			return fmt.Errorf("cannot restart container %s, which runs on: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		}
	}
	if err := cs.markOwed(c, true); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // it is on record: it happens
	if c.Alive() {
		if err := cs.stopAs(ctx, c, o); err != nil {
			return err
		}
	}
	if err := cs.keep.Start(ctx, c.ID, nil); err != nil {
		err = fmt.Errorf("cannot start container %s: %w", c.Name, err)
		return errors.Join(err, cs.markOwed(c, false))
	}
	cs.hub.Say(nil, c.Event(event.Done, "Restarted", ""))
	if c.Alone == nil {
		return cs.wishes.Change(c.Project, wish.On(inventory.Replicas([]*inventory.Container{c})))
	}
	return cs.markOwed(c, false)
}

// markOwed records that c is being stopped to be started again, or that it was.
func (cs *Containers) markOwed(c *inventory.Container, owed bool) error {
	if c.Alone == nil {
		return cs.wishes.Change(c.Project, func(r *wish.Record) {
			if c.OneOff {
				return
			}
			if owed {
				r.Owe(plan.Debts{c.Replica(): {Run: c.StartedAt}})
			} else {
				r.Settle(c.Replica())
			}
		})
	}
	return cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		changed := r.Owed != owed || r.Stopped != "" || owed && !r.Ending.Equal(c.StartedAt)
		r.Owed, r.Ending, r.Stopped, r.Last = owed, c.StartedAt, "", false
		return changed
	})
}

// Kill sends a signal to a container that runs; "" is SIGKILL. After SIGKILL, and after the signal that its stop would send, no policy starts it again. It waits for nobody
// who has it in hand: they may be waiting for its end.
func (cs *Containers) Kill(ctx context.Context, ref, signal string) error {
	defer cs.turns.Enter()()
	sig := unix.SIGKILL
	if signal != "" {
		var err error
		if sig, err = signals.Parse(signal); err != nil {
			return err
		}
	}
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	stops := c.StopSignal()
	if !c.Alive() {
		if sig != unix.SIGKILL && sig != stops || !cs.keep.RunsOn(c) {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot kill container %s: it is not running", c.Name))
		}
		sig = unix.SIGKILL // its policy is about to start it; if it does before this is seen to, nothing is lost with it
	}
	switch {
	case sig == unix.SIGKILL:
		if err := cs.markStopped(c); err != nil {
			return err
		}
	case sig == stops && c.Alone != nil:
		if err := cs.markLast(c); err != nil {
			return err
		}
		cs.group.Last(c.ID)
	}
	if err := cs.keep.Kill(ctx, c, sig, nil); err != nil || sig != unix.SIGKILL {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := cs.keep.FinishKill(ctx, c); err != nil {
		return err
	}
	return cs.dropWithEnd(ctx, c)
}

// RemoveOptions of Single.
type RemoveOptions struct {
	Force   bool // one that runs is killed
	Volumes bool // its anonymous volumes too
}

// Remove deletes a container.
func (cs *Containers) Remove(ctx context.Context, ref string, o RemoveOptions) error {
	c, release, err := cs.take(ctx, ref)
	if err != nil {
		return err
	}
	defer release()
	sv, _ := cs.group.Status(c.ID)
	if !o.Force && (c.Alive() || sv.State == supervise.Backoff) {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove container %q: container is %s: stop the container before removing or force remove", "/"+c.Name, inventory.StateWord(c, sv)))
	}
	ctx = context.WithoutCancel(ctx)
	if c.Alone != nil {
		return cs.removeForced(ctx, c, o.Volumes)
	}
	if err := cs.wishes.Change(c.Project, wish.Off(inventory.Replicas([]*inventory.Container{c}))); err != nil {
		return err
	}
	return cs.keep.KillAndRemove(ctx, c, o.Volumes, nil)
}

// removeForced removes c, which belongs to no file, whatever it does.
func (cs *Containers) removeForced(ctx context.Context, c *inventory.Container, volumes bool) error {
	if err := cs.alone.BeginRemoval(c.ID, c.Alone, volumes); err != nil {
		return err
	}
	return cs.keep.KillAndRemove(ctx, c, volumes || c.Alone.AutoRemove, nil)
}

// Pause freezes the processes of a container, Unpause lets them go on.
func (cs *Containers) Pause(ctx context.Context, ref string) error {
	return cs.freeze(ctx, ref, freezing{from: runtime.Running, is: "running", already: "paused", done: "Paused", verb: "pause", do: cs.drivers.Containers.Pause})
}

// Unpause is the other way of Pause.
func (cs *Containers) Unpause(ctx context.Context, ref string) error {
	return cs.freeze(ctx, ref, freezing{from: runtime.Paused, is: "paused", already: "running", done: "Unpaused", verb: "unpause", do: cs.drivers.Containers.Resume})
}

// freezing is one of the two ways.
type freezing struct {
	from                    runtime.Status
	is, already, done, verb string
	do                      func(ctx context.Context, id string) error
}

func (cs *Containers) freeze(ctx context.Context, ref string, f freezing) error {
	c, release, err := cs.take(ctx, ref)
	if err != nil {
		return err
	}
	defer release()
	if c.Status != f.from {
		why := "it is not " + f.is
		if c.Alive() {
			why = "it is " + f.already + " already"
		}
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s container %s: %s", f.verb, c.Name, why))
	}
	if err := f.do(ctx, c.ID); err != nil {
		return fmt.Errorf("cannot %s container %s: %w", f.verb, c.Name, wording.Cause(err, c.ID, c.Name))
	}
	cs.hub.Say(nil, c.Event(event.Done, f.done, ""))
	return nil
}
