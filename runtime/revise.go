package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/guard"
)

// Revise gives the container c.ID, in whichever state, a Config that says something else in its Facts and in the resources of its Spec, and nothing else: there
// ErrInvalidArgument. The limits of one that runs are in force before they are on record; a limit that the kernel does not take is an error, and the record
// stays. A limit that c does not have is not lifted of one that runs. Idempotent. As with Create, what c points to is the driver's from now on.
func (d *Driver) Revise(ctx context.Context, c container.Config) (container.State, error) {
	if err := c.Check(); err != nil {
		return container.State{}, err
	}
	unlock, have, l, err := d.runs.Door(ctx, c.ID)
	if err != nil {
		return container.State{}, err
	}
	defer unlock()
	if !have.Same(c.Unrevised(have)) {
		return container.State{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot change container %.12s: only its facts and the limits of its resources can be changed", c.ID))
	}
	c.CreatedAt = have.CreatedAt
	if l != nil {
		r, err := d.records.Run(c.ID)
		if err != nil {
			return container.State{}, fmt.Errorf("cannot change container %.12s: %w", c.ID, err)
		}
		if err := d.cgroups.Restore(guard.Made(&c, r.Warnings), l.Init().Pid, func() ([]int, error) { return nil, nil }); err != nil && l.Init().Alive() {
			return container.State{}, fmt.Errorf("cannot change the limits of container %.12s: %w", c.ID, err)
		}
	}
	if err := d.records.Change(&c); err != nil {
		return container.State{}, fmt.Errorf("cannot change container %.12s: %w", c.ID, err)
	}
	if l != nil { // what is watched, and what was last seen, is of the old record
		d.runs.Renew(l, &c)
	}
	return d.state(c.ID, &c, guard.Mark{})
}
