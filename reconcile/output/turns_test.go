package output

import (
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/supervise"
)

// shortTurns are turns of which one ends after each time that it is asked for, but for the last.
type shortTurns struct{ left int }

func (s *shortTurns) Released(string) <-chan struct{} {
	if s.left == 0 {
		return nil
	}
	s.left--
	released := make(chan struct{})
	close(released)
	return released
}

// TestFollowEndsAfterWork: work that ends while the logs are looked at is no reason to wait for more of it.
func TestFollowEndsAfterWork(t *testing.T) {
	for left := range 4 {
		r := New(fake.New().Set(), &event.Hub{}, supervise.New(nil), &shortTurns{left})
		if err := r.Read(t.Context(), "shop", ask.LogOptions{Follow: true, Tail: -1}, func(ask.LogEntry) error { return nil }); err != nil {
			t.Errorf("after %d turns: %v", left, err)
		}
	}
}
