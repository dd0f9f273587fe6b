package idlock

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestIDLocks(t *testing.T) {
	var l Locks
	var wg sync.WaitGroup
	shared := map[string]int{}
	for range 40 {
		for _, id := range []string{"a", "b"} {
			wg.Go(func() {
				unlock, err := l.Lock(t.Context(), id)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if id == "a" { // guarded by a's lock alone
					shared["a"]++
				}
			})
		}
	}
	wg.Wait()
	if shared["a"] != 40 || len(l.held) != 0 {
		t.Errorf("%v, %d locks are kept", shared, len(l.held))
	}
	unlock, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a held lock with an ended context: %v", err)
	}
	unlock()
	if len(l.held) != 0 {
		t.Error("a lock is kept")
	}
}
