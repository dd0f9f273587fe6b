package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/container"
)

// Replace gives the container c.ID, which does not run, another Config: what a start finds out (addresses, hence
// /etc/hosts, and the network namespace to join) is part of it. Its last exit stays. ErrNotFound when it is not there,
// ErrConflict when it runs. Idempotent. As with Create, what c points to is the driver's from now on.
func (d *Driver) Replace(ctx context.Context, c container.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	unlock, err := d.ids.Take(ctx, c.ID)
	if err != nil {
		return err
	}
	defer unlock()
	have, err := d.records.Config(c.ID)
	if err != nil {
		return err
	}
	l, err := d.runs.FindLocked(ctx, c.ID)
	if err != nil {
		return err
	}
	if l != nil {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot change container %.12s: it is running", c.ID))
	}
	c.CreatedAt = have.CreatedAt
	if err := d.records.Change(&c); err != nil {
		return fmt.Errorf("cannot change container %.12s: %w", c.ID, err)
	}
	return nil
}
