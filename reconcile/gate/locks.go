package gate

import (
	"context"

	"github.com/stackrun/stack/internal/keylock"
)

// Locks is one lock per key. Who holds or waits for one works, as far as its gate is concerned.
type Locks struct {
	gate *Gate
	keys keylock.Locks
}

// Locks are locks behind g.
func (g *Gate) Locks() *Locks { return &Locks{gate: g} }

// Lock waits for key's lock or for the end of ctx.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if err := l.gate.Enter(ctx); err != nil {
		return nil, err
	}
	free, err := l.keys.Lock(ctx, key)
	if err != nil {
		l.gate.Leave()
		return nil, err
	}
	return func() { free(); l.gate.Leave() }, nil
}

// Taken says whether somebody holds key's lock or waits for it.
func (l *Locks) Taken(key string) bool { return l.keys.Taken(key) }

// Released is closed when nobody holds key's lock any more; nil, which blocks for ever, when nobody does now.
func (l *Locks) Released(key string) <-chan struct{} { return l.keys.Released(key) }
