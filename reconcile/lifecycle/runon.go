package lifecycle

import (
	"errors"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
)

// RunsOn says whether c runs, or is about to be started again by its policy. One that was told to stop and takes its time does not: its end is what was asked for. Its
// supervisor knows, whatever has become of it since c was read, and also where the host cannot be looked at.
func (k *Keeper) RunsOn(c *inventory.Container) bool {
	s, _ := k.Group.Status(c.ID) // of one that is gone it is the same as of one that has ended
	return s.State == supervise.Running || s.State == supervise.Backoff
}

// LetRunOn leaves those of list that run on to their policies, after a command that was to end them, and has failed: it did not get to them, or their pre_stop has refused. It
// returns which they are: they are wished for still.
func (k *Keeper) LetRunOn(list []*inventory.Container) []plan.ID {
	var left []*inventory.Container
	for _, c := range list {
		if k.RunsOn(c) {
			k.Group.Spare(c.ID)
			left = append(left, c)
		}
	}
	return inventory.Replicas(left)
}

// MeantToStop takes over c, which is watched and runs, from a daemon that is no more. One that was told to stop ends of that when it likes, and what comes then r, the record of its project, says: its policy is not asked. One that a
// command meant to end, which r says, may not have been told: where that command is carried on its policy waits for what comes of that.
func (k *Keeper) MeantToStop(c *inventory.Container, r *wish.Record) {
	switch {
	case c.Stopping:
		k.Group.Stop(c.ID)
	case r == nil || c.OneOff || c.Spare || !r.IsOff(c.Replica()):
	case r.Pass == nil:
		k.Group.Stop(c.ID)
	default:
		if debt, starts := r.Pass.Starts[c.Replica()]; !starts || debt.CalledOff(c.StartedAt) { // else it may have been started since
			k.Group.Last(c.ID)
		}
	}
}

// Spare wishes for those of list still, of project, that run on after a command which had marked them as not wished for, and which has failed: with err, which it returns. nil = it has not.
func (k *Keeper) Spare(project string, list []*inventory.Container, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, k.wishes.Change(project, wish.Spared(k.LetRunOn(list))))
}
