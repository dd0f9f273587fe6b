package image

import (
	"context"
	"sync"
)

// flights makes concurrent calls with one key one call. The work runs on a context of its own, which ends when
// every caller has left: one that is cancelled takes nothing from the others.
type flights[T any] struct {
	mu   sync.Mutex
	live map[string]*flight[T]
}

type flight[T any] struct {
	cancel  context.CancelCauseFunc
	done    chan struct{}
	value   T
	err     error
	waiting int                    // guarded by flights.mu
	watch   map[int]func(Progress) // guarded by flights.mu
	next    int                    // guarded by flights.mu
	last    map[string]Progress    // by layer: a caller that joins late sees where things are
}

// do calls fn, or joins the call with this key that is under way. progress may be nil.
func (g *flights[T]) do(ctx context.Context, key string, progress func(Progress), fn func(context.Context, func(Progress)) (T, error)) (T, error) {
	g.mu.Lock()
	f := g.live[key]
	if f == nil {
		work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		f = &flight[T]{cancel: cancel, done: make(chan struct{}), watch: make(map[int]func(Progress)), last: make(map[string]Progress)}
		if g.live == nil {
			g.live = make(map[string]*flight[T])
		}
		g.live[key] = f
		go func() {
			f.value, f.err = fn(work, func(p Progress) { g.report(f, p) })
			g.mu.Lock()
			if g.live[key] == f {
				delete(g.live, key)
			}
			g.mu.Unlock()
			close(f.done)
			cancel(nil)
		}()
	}
	f.waiting++
	id := f.next
	f.next++
	if progress != nil {
		for _, p := range f.last {
			progress(p)
		}
		f.watch[id] = progress
	}
	g.mu.Unlock()

	defer func() {
		g.mu.Lock()
		delete(f.watch, id)
		g.mu.Unlock()
	}()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && g.live[key] == f {
		// Who comes now starts anew; this one is on its way out.
		delete(g.live, key)
	}
	g.mu.Unlock()
	if last {
		// The caller may expect that nothing is left half when this returns.
		f.cancel(context.Cause(ctx))
		<-f.done
	}
	var zero T
	return zero, context.Cause(ctx)
}

// report calls every watcher under the lock, so that none is called after its do has returned and none is called
// twice at once. Watchers must be quick and must not call the store.
func (g *flights[T]) report(f *flight[T], p Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.last[p.Layer] = p
	for _, w := range f.watch {
		w(p)
	}
}
