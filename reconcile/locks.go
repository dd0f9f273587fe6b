package reconcile

import (
	"context"

	"github.com/stackrun/stack/internal/keylock"
)

// locks is one lock per key. Who holds or waits for one works, as far as gate is concerned, if there is one.
type locks struct {
	gate *gate
	keys keylock.Locks
}

// lock waits for key's lock or for the end of ctx.
func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	if l.gate == nil {
		return l.keys.Lock(ctx, key)
	}
	if err := l.gate.enter(ctx); err != nil {
		return nil, err
	}
	free, err := l.keys.Lock(ctx, key)
	if err != nil {
		l.gate.leave()
		return nil, err
	}
	return func() { free(); l.gate.leave() }, nil
}
