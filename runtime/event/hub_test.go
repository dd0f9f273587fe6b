package event

import (
	"context"
	"testing"
	"time"
)

func TestSlowReceiverKeepsTheLatest(t *testing.T) {
	var h Hub
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ch := h.Subscribe(ctx)
	const n = 3 * queueLimit
	for i := range n {
		h.Publish(Event{ID: string(rune('a' + i%5)), Kind: Started, At: time.Unix(int64(i), 0)})
	}
	for i, id := range []string{"x", "y"} {
		h.Publish(Event{ID: id, Kind: Exited, At: time.Unix(int64(n+i), 0)})
	}
	h.Close()
	last, count := map[string]time.Time{}, 0
	for e := range ch {
		if e.At.Before(last[e.ID]) {
			t.Errorf("%s goes back in time", e.ID)
		}
		last[e.ID] = e.At
		count++
	}
	if count > queueLimit+8 {
		t.Errorf("%d events were kept", count)
	}
	for i := range 5 {
		if id := string(rune('a' + i)); last[id].Unix() < n-5 {
			t.Errorf("the latest of %s is lost: %v", id, last[id].Unix())
		}
	}
	if last["y"].Unix() != n+1 {
		t.Error("the very last is lost")
	}
	if _, ok := <-h.Subscribe(ctx); ok {
		t.Error("an event after the end")
	}
}
