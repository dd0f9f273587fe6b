package forward

import (
	"time"

	"github.com/stackrun/stack/runtime/logs"
)

// mostUnderWay bounds the batches of which a flight knows the ends: what is sent beyond them counts to the last.
const mostUnderWay = 256

// flight is what was sent on one connection and is not known to have arrived. The zero value is of a new one.
type flight struct {
	ends    []end
	waiting int64     // when it was last looked at
	taken   time.Time // when the receiver was last seen to take something, or the first batch was sent
}

// end is of a batch: it has arrived when that much of what the connection has written has: bytes, or what else its Flow counts.
type end struct {
	written int64
	place   logs.Place
}

// departed notes that a batch was sent, up to place, with which the connection has written so much.
func (f *flight) departed(written int64, place logs.Place, now time.Time) {
	switch n := len(f.ends); n {
	case 0:
		f.ends, f.waiting, f.taken = append(f.ends, end{written, place}), 0, now
	case mostUnderWay:
		f.ends[n-1] = end{written, place}
	default:
		f.ends = append(f.ends, end{written, place})
	}
}

// progress is how far the log has arrived when waiting of written is still on its way; moved: farther than it was.
func (f *flight) progress(written, waiting int64, now time.Time) (at logs.Place, moved bool) {
	n := 0
	for n < len(f.ends) && f.ends[n].written <= written-waiting {
		at, moved = f.ends[n].place, true
		n++
	}
	f.ends = f.ends[:copy(f.ends, f.ends[n:])]
	if moved || waiting < f.waiting {
		f.taken = now
	}
	f.waiting = waiting
	return at, moved
}

// landed says that all of it has arrived.
func (f *flight) landed() bool { return len(f.ends) == 0 }

// stalled is for how long the receiver has taken nothing of what waits for it.
func (f *flight) stalled(now time.Time) time.Duration {
	if f.landed() {
		return 0
	}
	return now.Sub(f.taken)
}
