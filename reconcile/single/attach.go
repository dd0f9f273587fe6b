package single

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime/process"
)

// Attach connects streams to those of a container's process, from the program's first byte on if the container does not run yet. It returns when the process has ended, or
// ctx; the container is left as it is then. Where streams.Stdin ends, the container's does if it is to (Traits.StdinOnce); otherwise that is open for whoever comes next.
// ready is called once it is known that there is such a container; if that does not run, nothing is missed of what it says after its start.
func (cs *Containers) Attach(ctx context.Context, ref string, streams process.IO, ready func()) error {
	defer cs.turns.Enter()()
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	if streams.Stdin != nil {
		switch {
		case !c.Spec.StdinOpen:
			streams.Stdin = nil
		case c.Alone == nil || !c.Alone.StdinOnce:
			streams.Stdin = lifecycle.WithoutEnd(ctx, streams.Stdin)
		}
	}
	unlock, err := cs.keep.Locks.Lock(ctx, c.ID) // a start that is under way connects nobody any more
	if err != nil {
		return err
	}
	name := c.Name
	if c, err = inventory.ByID(ctx, cs.drivers, c.ID); err != nil {
		unlock()
		return wording.Cause(err, ref, name)
	}
	if c.Alive() {
		unlock()
		ready()
		err := cs.drivers.Containers.Attach(ctx, c.ID, streams)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("cannot attach to container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		}
		return nil
	}
	mine := &lifecycle.Caller{Ctx: ctx, Streams: streams, Ended: make(chan error, 1)}
	cs.keep.Callers.Add(c.ID, mine)
	defer cs.keep.Callers.Drop(c.ID, mine)
	ending := cs.group.Ending(c.ID)
	unlock()
	ready()
	gone := make(chan struct{})
	if ending != nil {
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if _, err := ending.Forgotten(watching); err == nil {
				close(gone)
			}
		}()
	}
	select {
	case err := <-mine.Ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-gone: // removed before it was started, or with its end
		select {
		case err := <-mine.Ended:
			return err
		default:
		}
		return nil
	case <-ctx.Done():
		return nil
	case <-cs.life.Done():
		return context.Cause(cs.life)
	}
}

// Resize sets the size of a running container's terminal.
func (cs *Containers) Resize(ctx context.Context, ref string, size process.WinSize) error {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	if err := cs.drivers.Containers.Resize(ctx, c.ID, size); err != nil {
		return fmt.Errorf("cannot resize the terminal of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}
