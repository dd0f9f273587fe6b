package event

import (
	"context"
	"testing"
	"testing/synctest"
)

// numbers reads what a subscription delivers until it is closed.
func numbers(in <-chan Event) []int64 {
	var got []int64
	for ev := range in {
		got = append(got, ev.Current)
	}
	return got
}

func TestEventsComeInOrderAndOfTheProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		all, mine := h.Subscribe(t.Context(), "", Window{}), h.Subscribe(t.Context(), "shop", Window{})
		for i := range int64(10) {
			h.Publish(Event{Project: []string{"shop", "other"}[i%2], Current: i})
		}
		h.Close() // what is published is still delivered
		if got := numbers(all); len(got) != 10 || got[0] != 0 || got[9] != 9 {
			t.Errorf("all: %v", got)
		}
		if got := numbers(mine); len(got) != 5 || got[1] != 2 {
			t.Errorf("shop: %v", got)
		}
		if _, open := <-h.Subscribe(t.Context(), "", Window{}); open {
			t.Error("a closed hub delivers")
		}
	})
}

func TestASlowReaderHoldsNobodyUpAndKeepsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		slow := h.Subscribe(t.Context(), "", Window{})
		h.Publish(Event{Current: -1})
		synctest.Wait() // one is on its way to a reader that does not read
		for i := range int64(queueLength + 100) {
			h.Publish(Event{Current: i})
		}
		h.Close()
		got := numbers(slow)
		if last := got[len(got)-1]; last != queueLength+99 || len(got) != queueLength+1 {
			t.Errorf("got %d events, the last is %d", len(got), last)
		}
	})
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		ctx, cancel := context.WithCancel(t.Context())
		in := h.Subscribe(ctx, "", Window{})
		h.Publish(Event{})
		synctest.Wait() // its goroutine now waits for a reader
		cancel()
		for range in {
			// at most the one that was on its way
		}
		synctest.Wait()
		if len(h.subs) > 0 {
			t.Error("the hub remembers it")
		}
	})
}
