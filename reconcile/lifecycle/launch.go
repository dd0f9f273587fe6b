package lifecycle

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// launch starts c, which is connected, as soon as nobody changes what is in a volume of it. A container that has come into a namespace of somebody else is stopped at
// once, and that is an error.
func (k *Keeper) launch(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	started, err := k.mounting(ctx, c)
	if err != nil {
		return runtime.State{}, err
	}
	k.Forward.Begin(c)
	s, err := k.startHeard(ctx, c)
	started()
	if err != nil {
		k.Forward.Ended(c.ID, func() bool { return true }) // nobody else starts it: its lock is held
		return s, err
	}
	if err := k.wiring.JoinedAsMeant(ctx, c); err != nil {
		_, failed := k.drivers.Containers.Stop(context.WithoutCancel(ctx), c.ID, 0)
		return s, errors.Join(err, failed)
	}
	return s, nil
}

// mounting waits until nobody changes what is in a volume of c, which is connected. Until started is called nobody begins to. Precondition: the container's lock is held.
func (k *Keeper) mounting(ctx context.Context, c *inventory.Container) (started func(), err error) {
	var sources []string
	for _, m := range c.Config.Mounts {
		if filepath.IsAbs(m.Source) {
			sources = append(sources, m.Source)
		}
	}
	return k.Mounted.Begin(ctx, sources)
}
