package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/container"
)

// Replace gives the container c.ID, which does not run, another Config: what a start finds out (addresses, hence
// /etc/hosts, and the network namespace to join) is part of it. Its last exit stays, and so does the file when nothing is other. ErrNotFound when it is not there,
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

// Reserve makes certain that container id can be started again after its end, as far as what is recorded of a start goes: on a disk that is full it fails while
// the container still runs. What it has kept stays until a start uses it, or the container is deleted. ErrNotFound when it is not there. Idempotent.
func (d *Driver) Reserve(ctx context.Context, id string) error {
	unlock, err := d.ids.Take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := d.records.Config(id); err != nil {
		return err
	}
	if err := d.records.Reserve(id); err != nil {
		return fmt.Errorf("cannot keep room for a start of container %.12s: %w", id, err)
	}
	return nil
}
