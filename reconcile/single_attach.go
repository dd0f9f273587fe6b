package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// callers are those who have attached to containers that do not run yet. They are connected by the start that comes, before the program's first byte.
// The zero value is ready.
type callers struct {
	mu sync.Mutex
	m  map[string][]*caller // by container
}

type caller struct {
	ctx     context.Context // ends with the call
	streams process.IO
	ended   chan error // of capacity 1
}

func (q *callers) add(id string, c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.m == nil {
		q.m = map[string][]*caller{}
	}
	q.m[id] = append(q.m[id], c)
}

// drop takes c out, if it still waits.
func (q *callers) drop(id string, c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.m[id] = slices.DeleteFunc(q.m[id], func(have *caller) bool { return have == c })
	if len(q.m[id]) == 0 {
		delete(q.m, id)
	}
}

// take gives who waits for id, in the order in which they came; they wait no more.
func (q *callers) take(id string) []*caller {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := slices.DeleteFunc(q.m[id], func(c *caller) bool { return c.ctx.Err() != nil })
	delete(q.m, id)
	return all
}

// startHeard starts container c, which is connected, together with those who have attached to it.
func (e *Engine) startHeard(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	all := e.callers.take(c.ID)
	if len(all) == 0 {
		return e.drivers.Containers.Start(ctx, c.ID)
	}
	first := all[0]
	running, over := context.WithCancel(e.life)
	started, failed := make(chan runtime.State, 1), make(chan error, 1)
	e.follows.Go(func() {
		defer over()
		began := false
		_, err := e.drivers.Containers.Run(running, c.ID, first.streams, func(s runtime.State) {
			began = true
			context.AfterFunc(first.ctx, over) // before the start its going would undo that
			started <- s
		})
		if !began {
			failed <- err
		}
		first.ended <- err
	})
	select {
	case s := <-started:
		for _, other := range all[1:] {
			go func() { other.ended <- e.drivers.Containers.Attach(other.ctx, c.ID, other.streams) }()
		}
		return s, nil
	case err := <-failed:
		for _, other := range all[1:] {
			other.ended <- err
		}
		return runtime.State{}, err
	}
}

// Attach connects streams to those of a container's process, from the program's first byte on if the container does not run yet. It returns when the process has ended, or
// ctx; the container is left as it is then. Where streams.Stdin ends, the container's does if it is to (Traits.StdinOnce); otherwise that is open for whoever comes next.
// ready is called once it is known that there is such a container; if that does not run, nothing is missed of what it says after its start.
func (s Single) Attach(ctx context.Context, ref string, streams process.IO, ready func()) error {
	e := s.e
	defer e.loop.Enter()()
	c, err := inventory.ByRef(ctx, e.drivers, ref)
	if err != nil {
		return err
	}
	if streams.Stdin != nil {
		switch {
		case !c.Spec.StdinOpen:
			streams.Stdin = nil
		case c.Alone == nil || !c.Alone.StdinOnce:
			streams.Stdin = withoutEnd{streams.Stdin, ctx}
		}
	}
	unlock, err := e.single.Lock(ctx, c.ID) // a start that is under way connects nobody any more
	if err != nil {
		return err
	}
	name := c.Name
	if c, err = inventory.ByID(ctx, e.drivers, c.ID); err != nil {
		unlock()
		return wording.Cause(err, ref, name)
	}
	if c.Alive() {
		unlock()
		ready()
		err := e.drivers.Containers.Attach(ctx, c.ID, streams)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("cannot attach to container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		}
		return nil
	}
	mine := &caller{ctx: ctx, streams: streams, ended: make(chan error, 1)}
	e.callers.add(c.ID, mine)
	defer e.callers.drop(c.ID, mine)
	ending := e.group.Ending(c.ID)
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
	case err := <-mine.ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-gone: // removed before it was started, or with its end
		select {
		case err := <-mine.ended:
			return err
		default:
		}
		return nil
	case <-ctx.Done():
		return nil
	case <-e.life.Done():
		return context.Cause(e.life)
	}
}

// Resize sets the size of a running container's terminal.
func (s Single) Resize(ctx context.Context, ref string, size process.WinSize) error {
	c, err := inventory.ByRef(ctx, s.e.drivers, ref)
	if err != nil {
		return err
	}
	if err := s.e.drivers.Containers.Resize(ctx, c.ID, size); err != nil {
		return fmt.Errorf("cannot resize the terminal of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}
