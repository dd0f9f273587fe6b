package follow

import (
	"time"

	"github.com/stackrun/stack/reconcile/ask"
)

// Places are how far logs are read, by container.
type Places map[string]Place

// Place is a line of a log: the n-th, from 1, of those that bear its time.
type Place struct {
	at time.Time
	n  int
}

// Next is the place of e, the line that follows the last one.
func (p Places) Next(e ask.LogEntry) Place {
	at := p[e.Container]
	if !at.at.Equal(e.Time) {
		at = Place{at: e.Time}
	}
	at.n++
	p[e.Container] = at
	return at
}

// After says whether p comes after o.
func (p Place) After(o Place) bool { return p.at.After(o.at) || p.at.Equal(o.at) && p.n > o.n }
