package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/inventory"
)

// discarding is called before c goes, with its anonymous volumes when volumes says so: a daemon that dies between the two would leave volumes that nobody
// knows of. The caller calls done when they are gone.
func (k *Keeper) discarding(c *inventory.Container, volumes bool) (done func() error) {
	if !volumes || len(c.Anonymous) == 0 || c.Alone != nil { // who belongs to no file has it in a record of its own
		return func() error { return nil }
	}
	if err := k.interim.BeginDiscard(c.ID, interim.Discard{Project: c.Project, Volumes: c.Anonymous}); err != nil {
		// On a full disk what is removed makes the room: all that is lost is that the next daemon would go on with it.
		k.log.Warn("cannot record which volumes go with a container", "container", c.Name, "error", err)
		return func() error { return nil }
	}
	return func() error {
		if err := k.interim.EndDiscard(c.ID); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return fmt.Errorf("cannot forget the volumes of container %s, which are gone: %w", c.Name, err)
		}
		return nil
	}
}

// FinishDiscards goes on with removals that an earlier daemon has begun. there are the containers that there are: of one that is there still nothing goes.
func (k *Keeper) FinishDiscards(ctx context.Context, there []*inventory.Container) error {
	left, err := k.interim.Discards()
	if err != nil {
		return err
	}
	for id, d := range left {
		if !slices.ContainsFunc(there, func(c *inventory.Container) bool { return c.ID == id }) {
			if err := k.volumes.DeleteAnonymous(ctx, &inventory.Container{Project: d.Project, Anonymous: d.Volumes}); err != nil {
				return err
			}
		}
		if err := k.interim.EndDiscard(id); err != nil {
			return err
		}
	}
	return nil
}
