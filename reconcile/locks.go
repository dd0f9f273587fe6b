package reconcile

import (
	"context"
	"sync"
)

// locks is one lock per key. The zero value is ready; a key costs nothing while nobody holds it. Who holds or waits for one works, as far as
// gate is concerned, if there is one.
type locks struct {
	gate *gate
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	token chan struct{} // of capacity 1: full = held
	users int
	free  chan struct{} // closed when users is 0
}

// lock waits for key's lock or for the end of ctx.
func (l *locks) lock(ctx context.Context, key string) (unlock func(), err error) {
	if l.gate != nil {
		if err := l.gate.enter(ctx); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*turn{}
	}
	t := l.held[key]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1), free: make(chan struct{})}
		l.held[key] = t
	}
	t.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(l.held, key)
			close(t.free)
		}
		if l.gate != nil {
			l.gate.leave()
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// taken says whether somebody holds key's lock or waits for it.
func (l *locks) taken(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[key] != nil
}

// released is closed when nobody holds key's lock any more; nil, which blocks for ever, when nobody does now.
func (l *locks) released(key string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.held[key]; t != nil {
		return t.free
	}
	return nil
}
