package tree

import "time"

// window decides when a batch is complete: a quiet moment after the last event, and some time after the first one in any case.
type window struct {
	quiet, most time.Duration
	first, last time.Time // zero: there is none
}

func (w *window) event(now time.Time) {
	if w.first.IsZero() {
		w.first = now
	}
	w.last = now
}

func (w *window) open() bool { return !w.first.IsZero() }

// due is when the batch is complete. Precondition: open.
func (w *window) due() time.Time {
	quiet, most := w.last.Add(w.quiet), w.first.Add(w.most)
	if most.Before(quiet) {
		return most
	}
	return quiet
}

func (w *window) clear() { w.first, w.last = time.Time{}, time.Time{} }
