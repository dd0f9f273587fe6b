package lifecycle

import (
	"context"
	"errors"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// launch starts c, which is connected. A container that has come into a namespace of somebody else is stopped at once, and that is an
// error.
func (k *Keeper) launch(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	s, err := k.startHeard(ctx, c)
	if err != nil {
		return s, err
	}
	if err := k.wiring.JoinedAsMeant(ctx, c); err != nil {
		_, failed := k.drivers.Containers.Stop(context.WithoutCancel(ctx), c.ID, 0)
		return s, errors.Join(err, failed)
	}
	return s, nil
}
