package lifecycle

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// callers are those who have attached to containers that do not run yet. They are connected by the start that comes, before the program's first byte.
// The zero value is ready.
type callers struct {
	mu sync.Mutex
	m  map[string][]*Caller // by container
}

// Caller is one who has attached.
type Caller struct {
	Ctx     context.Context // ends with the call
	Streams process.IO
	Ended   chan error // of capacity 1
}

// Add has c wait for the start of container id.
func (q *callers) Add(id string, c *Caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.m == nil {
		q.m = map[string][]*Caller{}
	}
	q.m[id] = append(q.m[id], c)
}

// Drop takes c out, if it still waits.
func (q *callers) Drop(id string, c *Caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.m[id] = slices.DeleteFunc(q.m[id], func(have *Caller) bool { return have == c })
	if len(q.m[id]) == 0 {
		delete(q.m, id)
	}
}

// take gives who waits for id, in the order in which they came; they wait no more.
func (q *callers) take(id string) []*Caller {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := slices.DeleteFunc(q.m[id], func(c *Caller) bool { return c.Ctx.Err() != nil })
	delete(q.m, id)
	return all
}

// startHeard starts container c, which is connected, together with those who have attached to it.
func (k *Keeper) startHeard(ctx context.Context, c *inventory.Container) (runtime.State, error) {
	all := k.Callers.take(c.ID)
	if len(all) == 0 {
		s, err := k.drivers.Containers.Start(ctx, c.ID)
		return s, k.foreign(ctx, c, err)
	}
	first := all[0]
	running, over := context.WithCancel(k.life)
	started, failed := make(chan runtime.State, 1), make(chan error, 1)
	k.follows.Go(func() {
		defer over()
		began := false
		_, err := k.drivers.Containers.Run(running, c.ID, first.Streams, func(s runtime.State) {
			began = true
			context.AfterFunc(first.Ctx, over) // before the start its going would undo that
			started <- s
		})
		err = k.foreign(running, c, err)
		if !began {
			failed <- err
		}
		first.Ended <- err
	})
	select {
	case s := <-started:
		for _, other := range all[1:] {
			go func() { other.Ended <- k.drivers.Containers.Attach(other.Ctx, c.ID, other.Streams) }()
		}
		return s, nil
	case err := <-failed:
		for _, other := range all[1:] {
			other.Ended <- err
		}
		return runtime.State{}, err
	}
}

// WithoutEnd is r, after whose end nothing comes until ctx ends.
func WithoutEnd(ctx context.Context, r io.Reader) io.Reader { return withoutEnd{r, ctx} }

type withoutEnd struct {
	r   io.Reader
	ctx context.Context
}

func (w withoutEnd) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	<-w.ctx.Done()
	return 0, errors.Join(err, context.Cause(w.ctx))
}
