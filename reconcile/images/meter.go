package images

import (
	"sync"
	"time"

	"github.com/stackrun/stack/image"
)

// meter sums up the layers of one pull, and lets through as many events as an eye can follow.
type meter struct {
	mu     sync.Mutex
	layers map[string]image.Progress
	last   time.Time
}

func (m *meter) add(p image.Progress, now time.Time) (text string, current, total int64, ok bool) {
	const pace = 100 * time.Millisecond
	m.mu.Lock()
	defer m.mu.Unlock()
	m.layers[p.Layer+string(p.Phase)] = p
	if now.Sub(m.last) < pace {
		return "", 0, 0, false
	}
	m.last = now
	for _, l := range m.layers {
		if l.Phase == p.Phase {
			current += l.Current
			total += l.Total
		}
	}
	return string(p.Phase), current, total, true
}
