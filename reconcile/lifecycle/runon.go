package lifecycle

import (
	"context"
	"errors"
	"slices"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
)

// RunOn are those of ids, of project, that a command which was to end them has left running, or about to be started again by their policy: it did not get to them, or their
// pre_stop has refused. One that was told to stop and takes its time is not among them: its end is what was asked for.
func (k *Keeper) RunOn(ctx context.Context, project string, ids []plan.ID) ([]plan.ID, error) {
	list, err := inventory.List(context.WithoutCancel(ctx), k.drivers, project) // for a caller who has gone too
	if err != nil {
		return nil, err
	}
	return inventory.Replicas(slices.DeleteFunc(list, func(c *inventory.Container) bool {
		now := k.StatusOf(c).State // later than the list: its policy may have started it since
		return !slices.Contains(ids, c.Replica()) || now == supervise.Stopping || now == supervise.Ended && !c.Alive()
	})), nil
}

// Spare wishes for those of list still, of project, that run on after a command which had marked them as not wished for, and which has failed: with err, which it returns. nil = it has not.
func (k *Keeper) Spare(ctx context.Context, project string, list []*inventory.Container, err error) error {
	if err == nil {
		return nil
	}
	left, failed := k.RunOn(ctx, project, inventory.Replicas(list))
	if failed == nil {
		failed = k.wishes.Change(project, wish.Spared(left))
	}
	if failed != nil {
		return errors.Join(err, failed)
	}
	return err
}
