// Package gate says who may work. Many can work at a time, each on the object whose lock it holds. Or one works, and
// everybody else waits.
package gate

import (
	"context"
	"sync"
)

// Gate lets many work at a time, or one who needs everybody else to stand still. Who stands still waits for those who work and does not
// keep new ones out meanwhile, so that whoever works may enter again. The zero value is ready.
type Gate struct {
	mu      sync.Mutex
	working int
	still   bool
	changed chan struct{} // closed at the next change that somebody may wait for; nil = nobody waits
}

// Enter waits until nobody stands still, or for the end of ctx.
func (g *Gate) Enter(ctx context.Context) error {
	return g.await(ctx, func() bool {
		if g.still {
			return false
		}
		g.working++
		return true
	})
}

// Leave is the end of what Enter began.
func (g *Gate) Leave() { g.change(func() { g.working-- }) }

// StandStill waits until nobody works, and keeps everybody out until open is called.
func (g *Gate) StandStill(ctx context.Context) (open func(), err error) {
	err = g.await(ctx, func() bool {
		if g.still || g.working > 0 {
			return false
		}
		g.still = true
		return true
	})
	if err != nil {
		return nil, err
	}
	return func() { g.change(func() { g.still = false }) }, nil
}

// await calls try, under the lock, after each change until it says that it has what it wants.
func (g *Gate) await(ctx context.Context, try func() bool) error {
	for {
		g.mu.Lock()
		if try() {
			g.mu.Unlock()
			return nil
		}
		if g.changed == nil {
			g.changed = make(chan struct{})
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *Gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}
