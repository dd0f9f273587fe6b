package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/container"
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

	have, err := d.config(c.ID)
	if err == nil {
		if c.CreatedAt.IsZero() {
			c.CreatedAt = have.CreatedAt
		}
		if !have.Same(&c) {
			return container.State{}, errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot create container %.12s: it exists with another configuration", c.ID))
		}
		return d.state(c.ID, have, mark{})
	}
	if !errors.Is(err, errdefs.ErrNotFound) {
		return container.State{}, err
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = time.Now().Round(0) // as it will be read: without the monotonic clock
	}
	b, err := json.Marshal(&c)
	if err != nil {
		return container.State{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot create container %.12s: %w", c.ID, err))
	}
	dir := d.stateDir(c.ID)
	// What an interrupted Create or Delete left is not a container: it has no config.json.
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		err = os.RemoveAll(dir)
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err != nil {
			return container.State{}, fmt.Errorf("cannot create container %.12s: %w", c.ID, err)
		}
	} else if err != nil {
		return container.State{}, fmt.Errorf("cannot create container %.12s: %w", c.ID, err)
	}
	failpoint.Hit("runtime.create.directory")
	path := filepath.Join(dir, configName)
	// 0600: the environment holds passwords. Not synced: what a power cut takes is made again from the desired state.
	if err := atomicfile.Write(path, b, 0o600, atomicfile.NoSync); err != nil {
		os.RemoveAll(dir)
		return container.State{}, fmt.Errorf("cannot create container %.12s: %w", c.ID, err)
	}
	failpoint.Hit("runtime.create.recorded")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil {
		d.configs.put(c.ID, &st, &c)
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
	l, err := d.findLocked(ctx, id)
	if err != nil {
		return err
	}
	if l != nil {
		if _, err := d.config(id); !errors.Is(err, errdefs.ErrNotFound) {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove container %.12s: it is running; stop it first", id))
		}
		// Its end cleans up after it (follow), and takes no lock of id's for that.
		if err := l.init().Send(unix.SIGKILL); err != nil {
			return fmt.Errorf("cannot remove container %.12s: %w", id, err)
		}
		if _, err := l.wait(ctx); err != nil {
			return fmt.Errorf("cannot remove container %.12s: %w", id, err)
		}
	}
	if err := d.remove(ctx, id); err != nil {
		return fmt.Errorf("cannot remove container %.12s: %w", id, err)
	}
	// With the last container the instance's own cgroups go: after `down` the host is as it was.
	if ids, _, err := d.listIDs(); err == nil && len(ids) == 0 {
		d.cgroups.Prune()
		d.children.RetireSoon()
	}
	return nil
}

// remove takes down what a container has besides processes. The record goes last: while it is there, somebody
// knows that the rest is to be removed. Idempotent.
// Preconditions: id's lock is held, nothing runs.
func (d *Driver) remove(ctx context.Context, id string) error {
	if err := d.cgroups.Remove(ctx, id); err != nil {
		return err
	}
	failpoint.Hit("runtime.delete.cgroup")
	if err := os.RemoveAll(d.runDir(id)); err != nil {
		return err
	}
	dir := d.stateDir(id)
	failpoint.Hit("runtime.delete.rundir")
	// Everything else before config.json, so that half a removal is still the container.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != configName {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	failpoint.Hit("runtime.delete.emptied")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	d.configs.forget(id)
	d.runs.forget(id)
	d.statuses.forget(id)
	return nil
}
