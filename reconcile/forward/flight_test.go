package forward

import (
	"testing"
	"time"

	"github.com/stackrun/stack/runtime/logs"
)

// What has arrived of several batches moves the place behind the last of them that has arrived whole.
func TestFlight(t *testing.T) {
	var f flight
	at := time.Unix(0, 0)
	for i := range int64(3) {
		f.departed(100*(i+1), logs.Place{Offset: i + 1}, at)
	}
	for _, step := range []struct{ waiting, place int64 }{{300, 0}, {201, 0}, {200, 1}, {199, 0}, {350, 0}, {1, 2}, {0, 3}, {0, 0}} {
		if got, moved := f.progress(300, step.waiting, at); got.Offset != step.place || moved != (step.place > 0) {
			t.Errorf("%d wait: place %d, moved: %v, want %d", step.waiting, got.Offset, moved, step.place)
		}
	}
	if !f.landed() {
		t.Error("something is under way")
	}
}

// A receiver is away when it takes nothing, and not when it takes little: what waits becomes less then, although no batch is through and more is sent.
func TestFlightStalls(t *testing.T) {
	var f flight
	start := time.Unix(0, 0)
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	f.departed(1000, logs.Place{Offset: 1}, after(0))
	for _, step := range []struct {
		written, waiting int64
		at, stalled      int
	}{{1000, 1000, 10, 10}, {1000, 990, 20, 0}, {1500, 1490, 25, 5}, {1500, 1489, 40, 0}, {1500, 1489, 70, 30}, {1500, 0, 80, 0}, {1500, 0, 200, 0}} {
		f.progress(step.written, step.waiting, after(step.at))
		if got := f.stalled(after(step.at)); got != time.Duration(step.stalled)*time.Second {
			t.Errorf("after %d s with %d of %d waiting: stalled for %v, want %d s", step.at, step.waiting, step.written, got, step.stalled)
		}
	}
	// The wait for a batch begins when it is sent.
	f.departed(2000, logs.Place{Offset: 2}, after(300))
	f.progress(2000, 500, after(301))
	if got := f.stalled(after(301)); got != time.Second {
		t.Errorf("stalled for %v", got)
	}
}

// However many batches are under way, what is kept of them is bounded, and no place is passed that has not arrived.
func TestFlightIsBounded(t *testing.T) {
	var f flight
	const n = 3 * mostUnderWay
	for i := range int64(n) {
		f.departed(i+1, logs.Place{Offset: i + 1}, time.Time{})
	}
	if len(f.ends) > mostUnderWay {
		t.Errorf("%d are kept", len(f.ends))
	}
	if got, _ := f.progress(n, 1, time.Time{}); got.Offset != mostUnderWay-1 {
		t.Errorf("place %d when all but the last byte has arrived", got.Offset)
	}
	if got, moved := f.progress(n, 0, time.Time{}); !moved || got.Offset != n {
		t.Errorf("place %d at the end", got.Offset)
	}
}
