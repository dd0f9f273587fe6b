package build

import (
	"context"
	"sync"
)

// keyLocks are locks by name. The zero value is usable.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free; guarded by mu
}

// lock waits for name, or until ctx ends.
func (k *keyLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		k.mu.Lock()
		free, taken := k.held[name]
		if !taken {
			if k.held == nil {
				k.held = map[string]chan struct{}{}
			}
			free = make(chan struct{})
			k.held[name] = free
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, name)
				k.mu.Unlock()
				close(free)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
