package deploy

import (
	"context"
	"errors"
	"sync"
)

// watch carries out what changes of files ask for, until end is called. idled receives when nothing is being done for that any more.
func (t *attachment) watch(parent context.Context) (end func(), idled <-chan struct{}) {
	if t.watched == nil {
		return func() {}, nil
	}
	t.watched.above = func(print func() error) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.above(func() error { return errors.Join(t.view.Break(), print()) })
	}
	ctx, cancel := context.WithCancel(parent)
	var running sync.WaitGroup
	running.Go(func() {
		t.watched.hello()
		t.watched.session.Run(ctx)
	})
	return func() {
		cancel()
		running.Wait()
	}, t.watched.session.Idled()
}

// undisturbed says, when what it returns is called, whether the watch has done nothing to containers in between.
func (t *attachment) undisturbed() func() bool {
	if t.watched == nil {
		return func() bool { return true }
	}
	before, busy := t.watched.session.Doings()
	return func() bool {
		now, still := t.watched.session.Doings()
		return !busy && !still && now == before
	}
}
