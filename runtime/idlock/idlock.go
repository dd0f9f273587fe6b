// Package idlock has a lock for each container, which whoever changes one need not wait for without end.
package idlock

import (
	"context"
	"sync"
	"time"
)

// Locks is one lock per container id. The zero value is ready.
type Locks struct {
	mu   sync.Mutex
	held map[string]*idLock

	Patience time.Duration // between two looks of Take's at the holder; 0 = holderPatience
}

const holderPatience = 10 * time.Second

type idLock struct {
	token chan struct{} // holds one element while the lock is free
	users int           // holders and waiters, guarded by idLocks.mu

	// look is at a holder that others need not wait for without end: it returns how far that has come, and ends it if that is no more than seen. Guarded by idLocks.mu.
	look func(seen int64) (now int64)
}

// Lock waits for id's turn, or returns ctx's error. The caller calls unlock once.
func (l *Locks) Lock(ctx context.Context, id string) (unlock func(), err error) {
	return l.acquire(ctx, id, false)
}

// Take is Lock for who changes the container: it does not wait for a holder that Watched looks at and that does not get on.
func (l *Locks) Take(ctx context.Context, id string) (unlock func(), err error) {
	return l.acquire(ctx, id, true)
}

// Watched has look called while others wait in Take, until unlock.
//
// Precondition: the caller holds id's lock, which unlock gives back.
func (l *Locks) Watched(id string, unlock func(), look func(seen int64) (now int64)) func() {
	set := func(look func(int64) int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held[id].look = look
	}
	set(look)
	return func() { set(nil); unlock() }
}

// Look has the holder of id's lock looked at, who had come as far as seen: it is ended if that is how far it has come. false = nobody is to be looked at.
func (l *Locks) Look(id string, seen int64) (now int64, ok bool) {
	l.mu.Lock()
	k := l.held[id]
	if k == nil || k.look == nil {
		l.mu.Unlock()
		return 0, false
	}
	look := k.look
	l.mu.Unlock()
	return look(seen), true
}

func (l *Locks) acquire(ctx context.Context, id string, looks bool) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*idLock{}
	}
	k := l.held[id]
	if k == nil {
		k = &idLock{token: make(chan struct{}, 1)}
		k.token <- struct{}{}
		l.held[id] = k
	}
	k.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		if k.users--; k.users == 0 {
			delete(l.held, id)
		}
		l.mu.Unlock()
	}
	unlock = func() { k.token <- struct{}{}; leave() }
	select {
	case <-k.token:
		return unlock, nil
	default:
	}
	var tick <-chan time.Time
	if looks {
		every := l.Patience
		if every == 0 {
			every = holderPatience
		}
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for seen := int64(-1); ; {
		select {
		case <-k.token:
			return unlock, nil
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		case <-tick:
			if now, ok := l.Look(id, seen); ok {
				seen = now
			}
		}
	}
}
