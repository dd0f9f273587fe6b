package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/guard"
)

// Create records c. Nothing runs yet and nothing of the kernel's is made. Idempotent: the same Config again is success; another one
// under the same id is ErrAlreadyExists. What c points to is the driver's from now on: nobody may change it.
func (d *Driver) Create(ctx context.Context, c container.Config) (container.State, error) {
	if err := c.Check(); err != nil {
		return container.State{}, err
	}
	unlock, err := d.ids.Lock(ctx, c.ID)
	if err != nil {
		return container.State{}, err
	}
	defer unlock()

	have, err := d.records.Config(c.ID)
	if err == nil {
		if c.CreatedAt.IsZero() {
			c.CreatedAt = have.CreatedAt
		}
		if !have.Same(&c) {
			return container.State{}, errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot create container %.12s: it exists with another configuration", c.ID))
		}
		return d.state(c.ID, have, guard.Mark{})
	}
	if !errors.Is(err, errdefs.ErrNotFound) {
		return container.State{}, err
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = time.Now().Round(0) // as it will be read: without the monotonic clock
	}
	if err := d.records.Add(&c); err != nil {
		return container.State{}, fmt.Errorf("cannot create container %.12s: %w", c.ID, err)
	}
	return container.State{ID: c.ID, Status: container.Created, Labels: c.Labels, CreatedAt: c.CreatedAt, Config: &c}, nil
}

// Delete removes a container that does not run, with all that is its own: cgroups, run directory, record. ErrConflict when
// it runs, unless other hands have deleted its record: then nobody could stop it either, and it is killed. Not there = success, and what an
// interrupted Delete left is removed.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := container.CheckID(id); err != nil {
		return err
	}
	unlock, err := d.ids.Take(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := d.runs.FindLocked(ctx, id)
	if err != nil {
		return err
	}
	if l != nil {
		if _, err := d.records.Config(id); !errors.Is(err, errdefs.ErrNotFound) {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove container %.12s: it is running; stop it first", id))
		}
		// Its end cleans up after it (follow), and takes no lock of id's for that.
		if err := l.Init().Send(unix.SIGKILL); err != nil {
			return fmt.Errorf("cannot remove container %.12s: %w", id, err)
		}
		if _, err := l.Wait(ctx); err != nil {
			return fmt.Errorf("cannot remove container %.12s: %w", id, err)
		}
	}
	if err := d.remove(ctx, id); err != nil {
		return fmt.Errorf("cannot remove container %.12s: %w", id, err)
	}
	// With the last container the instance's own cgroups go, a while after it: to make those five directories and to remove them again is a tenth of a
	// container's life, and the next one needs them again.
	if none, err := d.records.Empty(); err == nil && none {
		d.children.RetireSoon(d.cgroups.Prune)
	}
	return nil
}

// remove takes down what a container has besides processes. The record goes last. Idempotent.
// Preconditions: id's lock is held, nothing runs.
func (d *Driver) remove(ctx context.Context, id string) error {
	if err := d.cgroups.Remove(ctx, id); err != nil {
		return err
	}
	failpoint.Hit("runtime.delete.cgroup")
	return d.records.Remove(id)
}
