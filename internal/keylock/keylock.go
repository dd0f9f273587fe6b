// Package keylock has locks by name: of a container, of a step of a build.
package keylock

import (
	"context"
	"sync"
)

// Locks is one lock per key. The zero value is ready; a key costs nothing while nobody holds it.
type Locks struct {
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	token chan struct{} // of capacity 1: full = held
	users int
	free  chan struct{} // closed when users is 0
}

// Lock waits for key's lock or for the end of ctx, whose cause it returns then.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
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
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// Taken says whether somebody holds key's lock or waits for it.
func (l *Locks) Taken(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[key] != nil
}

// Released is closed when nobody holds key's lock any more; nil, which blocks for ever, when nobody does now.
func (l *Locks) Released(key string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.held[key]; t != nil {
		return t.free
	}
	return nil
}
