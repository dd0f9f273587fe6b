package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
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
	have, err := d.config(c.ID)
	if err != nil {
		return err
	}
	l, err := d.findLocked(ctx, c.ID)
	if err != nil {
		return err
	}
	if l != nil {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot change container %.12s: it is running", c.ID))
	}
	c.CreatedAt = have.CreatedAt
	b, err := json.Marshal(&c)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot change container %.12s: %w", c.ID, err))
	}
	path := filepath.Join(d.stateDir(c.ID), configName)
	if err := atomicfile.Write(path, b, 0o600, atomicfile.NoSync); err != nil {
		return fmt.Errorf("cannot change container %.12s: %w", c.ID, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil {
		d.configs.put(c.ID, &st, &c)
	}
	return nil
}
