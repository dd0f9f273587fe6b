package flight

import (
	"context"
	"sync"

	"github.com/stackrun/stack/image/progress"
)

// Group makes concurrent calls with one key one call. The work runs on a context of its own, which ends when
// every caller has left: one that is cancelled takes nothing from the others.
type Group[T any] struct {
	mu   sync.Mutex
	live map[string]*call[T]
}

type call[T any] struct {
	cancel  context.CancelCauseFunc
	done    chan struct{}
	value   T
	err     error
	waiting int                           // guarded by Group.mu
	watch   map[int]func(progress.Report) // guarded by Group.mu
	next    int                           // guarded by Group.mu
	last    map[string]progress.Report    // by layer: a caller that joins late sees where things are
}

// Do calls fn, or joins the call with this key that is under way. report may be nil.
func (g *Group[T]) Do(ctx context.Context, key string, report func(progress.Report), fn func(context.Context, func(progress.Report)) (T, error)) (T, error) {
	g.mu.Lock()
	f := g.live[key]
	if f == nil {
		work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		f = &call[T]{cancel: cancel, done: make(chan struct{}), watch: make(map[int]func(progress.Report)), last: make(map[string]progress.Report)}
		if g.live == nil {
			g.live = make(map[string]*call[T])
		}
		g.live[key] = f
		go func() {
			f.value, f.err = fn(work, func(p progress.Report) { g.report(f, p) })
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
	if report != nil {
		for _, p := range f.last {
			report(p)
		}
		f.watch[id] = report
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
func (g *Group[T]) report(f *call[T], p progress.Report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.last[p.Layer] = p
	for _, w := range f.watch {
		w(p)
	}
}
