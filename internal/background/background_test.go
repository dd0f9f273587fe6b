package background_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stackrun/stack/internal/background"
)

func TestWaitIsForWhatHasBegun(t *testing.T) {
	var g background.Group
	if err := g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, later := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	g.Go(func() { <-first; done.Store(true) })
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if err := g.Wait(ctx); err != why {
		t.Errorf("a wait that is cut short: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- g.Wait(t.Context()) }()
	close(first)
	if err := <-waited; err != nil || !done.Load() {
		t.Errorf("%v, done: %v", err, done.Load())
	}
	g.Go(func() { <-later })
	close(later)
	if err := g.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMoreBeginsMeanwhile: where a sync.WaitGroup panics, sooner or later.
func TestMoreBeginsMeanwhile(t *testing.T) {
	var g background.Group
	var both sync.WaitGroup
	both.Go(func() {
		for range 100_000 {
			begun := make(chan struct{})
			g.Go(func() { close(begun) })
			<-begun
		}
	})
	for range 4 {
		both.Go(func() {
			for range 100_000 {
				if err := g.Wait(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	both.Wait()
}
