// Package background is for work that nobody waits for by itself: the unlinks of what is out of sight, the end of a namespace.
package background

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Group is the work of one owner. Unlike with a sync.WaitGroup, which panics then, more of it may begin while somebody waits. The zero value is ready.
type Group struct {
	mu      sync.Mutex
	pending map[chan struct{}]struct{} // closed when it is done
}

// Go calls f in the background.
func (g *Group) Go(f func()) {
	done := make(chan struct{})
	g.mu.Lock()
	if g.pending == nil {
		g.pending = map[chan struct{}]struct{}{}
	}
	g.pending[done] = struct{}{}
	g.mu.Unlock()
	go func() {
		defer func() {
			g.mu.Lock()
			delete(g.pending, done)
			g.mu.Unlock()
			close(done)
		}()
		f()
	}()
}

// Wait waits until all is done that had begun before, or ctx ends, whose cause it returns then.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	pending := slices.Collect(maps.Keys(g.pending))
	g.mu.Unlock()
	for _, done := range pending {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
