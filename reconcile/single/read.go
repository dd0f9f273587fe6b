package single

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/process"
)

// Logs is one reading of a container's log.
type Logs struct {
	Follow bool // until the run that goes on has ended
	Tail   int  // lines; -1 = all
	Since  time.Time
	Until  time.Time
}

// Logs begins to read the log of one container; read delivers it to each. Of a replica of a project that is what this container has written, and not those before it.
// ErrNotSupported when nothing is kept of its output.
func (cs *Containers) Logs(ctx context.Context, ref string, o Logs) (read func(ctx context.Context, each func(ask.LogEntry) error) error, err error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return nil, err
	}
	if c.Config == nil || c.Config.Log.Path == "" {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot read the log of container %s: configured logging driver does not support reading: it is %q, nothing is kept", c.Name, c.Spec.Logging.Driver))
	}
	ending := cs.group.Ending(c.ID)
	if o.Follow && o.Tail == 0 { // what is written from now on is what is asked for, however soon it is
		if now := time.Now(); now.After(o.Since) {
			o.Since = now
		}
		o.Tail = -1
	}
	return func(ctx context.Context, each func(ask.LogEntry) error) error {
		defer cs.turns.Enter()()
		opt := logs.Options{Tail: o.Tail, Since: o.Since, Until: o.Until}
		if c.Alone == nil && c.CreatedAt.After(opt.Since) {
			opt.Since = c.CreatedAt
		}
		if o.Follow && ending != nil && ending.Runs() && (o.Until.IsZero() || o.Until.After(time.Now())) {
			reading, stop := context.WithCancel(ctx)
			defer stop()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if !o.Until.IsZero() {
					bounded, cancel := context.WithDeadline(reading, o.Until)
					defer cancel()
					_, _ = ending.Next(bounded)
					return
				}
				_, _ = ending.Next(reading) // gone is ended too
			}()
			opt.Follow, opt.Done = true, done
		}
		return logs.Read(ctx, c.Config.Log.Path, opt, func(x logs.Entry) error { return each(output.Entry(c, x)) })
	}, nil
}

// Processes lists what runs in a container.
func (cs *Containers) Processes(ctx context.Context, ref string) ([]process.Info, error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return nil, err
	}
	all, err := cs.drivers.Containers.Processes(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return all, nil
}

// Usage is what a container uses now; nil of one that does not run. Name is as it is called.
func (cs *Containers) Usage(ctx context.Context, ref string) (id, name string, u *process.Usage, err error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil || !c.Alive() {
		if err == nil {
			return c.ID, c.Name, nil, nil
		}
		return "", "", nil, err
	}
	usage, err := cs.drivers.Containers.Usage(ctx, c.ID)
	switch {
	case err == nil:
		return c.ID, c.Name, &usage, nil
	case inventory.RunsNoMore(err):
		return c.ID, c.Name, nil, nil
	}
	return "", "", nil, fmt.Errorf("cannot read what container %s uses: %w", c.Name, wording.Cause(err, c.ID, c.Name))
}

// CopyIn is a tar stream whose entries go into a directory of a container, and keep their owners.
type CopyIn struct {
	Path   string // from the container's root
	AsUser bool   // they belong to the user that the container's process has, if it was given one
}

// CopyIn writes a tar stream into a container of any state.
func (cs *Containers) CopyIn(ctx context.Context, ref string, in CopyIn, r io.Reader) error {
	defer cs.turns.Enter()()
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	o := runtime.CopyIn{Path: in.Path, Archive: true}
	if in.AsUser && c.Config != nil && c.Config.Spec.Process.User.Username != "" {
		owner, err := cs.ownerOf(ctx, c)
		if err != nil {
			return fmt.Errorf("cannot copy into container %s: %w", c.Name, err)
		}
		o.Archive, o.Owner = false, &owner
	}
	if err := cs.drivers.Containers.CopyIn(ctx, c.ID, o, r); err != nil {
		return fmt.Errorf("cannot copy into container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}

// CopyOut writes what is at a path of a container of any state to w, as a tar stream.
func (cs *Containers) CopyOut(ctx context.Context, ref string, o runtime.CopyOut, w io.Writer) error {
	defer cs.turns.Enter()()
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	if err := cs.drivers.Containers.CopyOut(ctx, c.ID, o, w); err != nil {
		return fmt.Errorf("cannot copy from container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}

// Export writes the root file system of a container to w, as a tar stream, without its volumes.
func (cs *Containers) Export(ctx context.Context, ref string, w io.Writer) error {
	defer cs.turns.Enter()()
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	if err := cs.drivers.Containers.Export(ctx, c.ID, w, nil); err != nil {
		return fmt.Errorf("cannot export container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}

// Changes are the paths that a container has changed of its image.
func (cs *Containers) Changes(ctx context.Context, ref string) ([]image.Change, error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return nil, err
	}
	all, err := cs.drivers.Library.Changes(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("cannot compare container %s with its image: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return all, nil
}

// Sizes are what a container takes on the disk, bytes: what it has written over its image, and that with the image. One whose layers cannot be found has none.
func (cs *Containers) Sizes(ctx context.Context, d Detail) (written, all int64, err error) {
	if d.Config == nil {
		return 0, 0, nil
	}
	for _, m := range d.Config.Root {
		if m.Upper == "" {
			continue
		}
		if written, err = sizeOf(ctx, m.Upper); err != nil {
			return 0, 0, fmt.Errorf("cannot measure container %s: %w", d.Name, err)
		}
	}
	if info, err := inventory.Image(ctx, cs.drivers, d.ImageID, ""); err == nil {
		all = info.Size
	}
	return written, all + written, nil
}

// sizeOf adds up the files below dir.
func sizeOf(ctx context.Context, dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it went while it was measured
		}
		if entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				total += info.Size()
			}
		}
		return ctx.Err()
	})
	return total, err
}
