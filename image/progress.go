package image

import (
	"sync"
	"time"
)

// reportEvery is the least time between two reports of one layer in one phase: a terminal shows no more.
const reportEvery = 100 * time.Millisecond

// limitRate leaves out reports that come too fast. A new phase, an end and a note always pass.
func limitRate(report func(Progress)) func(Progress) {
	type last struct {
		at    time.Time
		phase Phase
	}
	var mu sync.Mutex
	seen := make(map[string]last)
	return func(p Progress) {
		now := time.Now()
		mu.Lock()
		l, ok := seen[p.Layer]
		if ok && l.phase == p.Phase && p.Note == "" && now.Sub(l.at) < reportEvery {
			mu.Unlock()
			return
		}
		seen[p.Layer] = last{now, p.Phase}
		mu.Unlock()
		report(p)
	}
}
