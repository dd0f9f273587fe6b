package loop

import (
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// How often one thing is healed.
const (
	firstHealDelay = time.Second
	maxHealDelay   = time.Minute      // the restart policies' too
	healedFor      = 10 * time.Minute // after which the next damage is a new story

	// MaxUnhealthy is how often a container is restarted because it is unhealthy. What five restarts do not cure, a sixth does not
	// either: it is left for somebody to look at.
	MaxUnhealthy = 5
)

// Attempts is what was done for one resource of a project lately.
type Attempts struct {
	count     int       // heals, whether they helped or not
	Unhealthy int       // those because it was unhealthy
	Next      time.Time // not before
	Well      time.Time // since when it is seen to be well; zero = it is not
	Told      string    // the failure that was reported last
	Begun     bool      // it was told and begun, and the round ended before it was done
	Spent     bool      // that it is left unhealthy is reported
}

// Seen takes in whether the resource is well at now.
func (a *Attempts) Seen(well bool, now time.Time) {
	switch {
	case well && a.Well.IsZero():
		a.Well = now
	case !well && !a.Well.IsZero():
		if now.Sub(a.Well) >= healedFor {
			*a = Attempts{}
		}
		a.Well = time.Time{}
	}
}

// Begin counts an attempt, after which there is a pause that doubles.
func (a *Attempts) Begin(now time.Time, reasons []plan.Reason) {
	delay := maxHealDelay
	if shift := a.count; shift < 6 { // 2^6 s is above the bound
		delay = min(firstHealDelay<<shift, maxHealDelay)
	}
	a.count++
	a.Begun = false
	a.Next, a.Well = now.Add(delay), time.Time{}
	for _, r := range reasons {
		if r == plan.Unhealthy {
			a.Unhealthy++
		}
	}
}

// Trials are what was tried for a project: of the one who heals it.
type Trials struct {
	Attempts map[plan.ID]*Attempts
	failures int    // looks in a row that could not even be made
	told     string // about the last of them
}

// Failed takes in a look at a project that could not even be made, for the reason text, and says how long to wait before the next, and whether it is news.
func (t *Trials) Failed(text string) (next time.Duration, news bool) {
	news, t.told = text != t.told, text
	a := Attempts{count: t.failures}
	now := time.Now()
	a.Begin(now, nil)
	t.failures++
	return a.Next.Sub(now), news
}

// Looked takes in one that could.
func (t *Trials) Looked() { t.failures, t.told = 0, "" }
