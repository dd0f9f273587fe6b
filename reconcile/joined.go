package reconcile

import (
	"context"
	"errors"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// launch starts c, which is connected. A container that has come into a namespace of somebody else is stopped at once, and that is an
// error.
func (e *Engine) launch(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	s, err := e.startHeard(ctx, c)
	if err != nil {
		return s, err
	}
	if err := e.wiring.JoinedAsMeant(ctx, c); err != nil {
		_, failed := e.drivers.Containers.Stop(context.WithoutCancel(ctx), c.ID, 0)
		return s, errors.Join(err, failed)
	}
	return s, nil
}
