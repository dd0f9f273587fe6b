package runtime

import (
	"context"
	"sync"
	"time"
)

// idLocks is one lock per container id. The zero value is ready.
type idLocks struct {
	mu   sync.Mutex
	held map[string]*idLock

	patience time.Duration // between two looks of take's at the holder; 0 = holderPatience
}

const holderPatience = 10 * time.Second

type idLock struct {
	token chan struct{} // holds one element while the lock is free
	users int           // holders and waiters, guarded by idLocks.mu

	// look is at a holder that others need not wait for without end: it returns how far that has come, and ends it if that is no more than seen. Guarded by idLocks.mu.
	look func(seen int64) (now int64)
}

// lock waits for id's turn, or returns ctx's error.
func (l *idLocks) lock(ctx context.Context, id string) (unlock func(), err error) {
	return l.acquire(ctx, id, false)
}

// take is lock for who changes the container: it does not wait for a holder that watched looks at and that does not get on.
func (l *idLocks) take(ctx context.Context, id string) (unlock func(), err error) {
	return l.acquire(ctx, id, true)
}

// watched has look called while others wait in take, until unlock. Precondition: the caller holds id's lock, which unlock gives back.
func (l *idLocks) watched(id string, unlock func(), look func(seen int64) (now int64)) func() {
	set := func(look func(int64) int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held[id].look = look
	}
	set(look)
	return func() { set(nil); unlock() }
}

func (l *idLocks) acquire(ctx context.Context, id string, looks bool) (unlock func(), err error) {
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
		every := l.patience
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
			l.mu.Lock()
			look := k.look
			l.mu.Unlock()
			if look != nil {
				seen = look(seen)
			}
		}
	}
}
