package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// launch starts c, which is connected. A container that has come into a namespace of somebody else is stopped at once, and that is an
// error.
func (e *Engine) launch(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	s, err := e.startHeard(ctx, c)
	if err != nil {
		return s, err
	}
	if err := e.joinedAsMeant(ctx, c); err != nil {
		_, failed := e.drivers.Containers.Stop(context.WithoutCancel(ctx), c.ID, 0)
		return s, errors.Join(err, failed)
	}
	return s, nil
}

// joinedAsMeant says whether the containers whose namespaces c was started in are still the ones that it was to join. A namespace is named by
// /proc/PID: a process that ended before c opened that may have left its number to another. One that runs now with the number and the start
// time that it had before has not.
func (e *Engine) joinedAsMeant(ctx context.Context, c *inventory.Container) error {
	for _, owner := range c.Joined {
		now, err := e.drivers.Containers.State(ctx, owner.ID)
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
		if err != nil || now.Pid != owner.Pid || now.PidStart != owner.PidStart {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot join the namespaces of container %s: it ended while this one was started", wording.ShortID(owner.ID)))
		}
	}
	return nil
}
