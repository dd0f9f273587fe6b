package reconcile

import (
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// How often one thing is healed.
const (
	firstHealDelay = time.Second
	maxHealDelay   = time.Minute      // the restart policies' too
	healedFor      = 10 * time.Minute // after which the next damage is a new story

	// maxUnhealthy is how often a container is restarted because it is unhealthy. What five restarts do not cure, a sixth does not
	// either: it is left for somebody to look at.
	maxUnhealthy = 5
)

// attempts is what was done for one resource of a project lately.
type attempts struct {
	count     int       // heals, whether they helped or not
	unhealthy int       // those because it was unhealthy
	next      time.Time // not before
	well      time.Time // since when it is seen to be well; zero = it is not
	told      string    // the failure that was reported last
	begun     bool      // it was told and begun, and the round ended before it was done
	spent     bool      // that it is left unhealthy is reported
}

// seen takes in whether the resource is well at now.
func (a *attempts) seen(well bool, now time.Time) {
	switch {
	case well && a.well.IsZero():
		a.well = now
	case !well && !a.well.IsZero():
		if now.Sub(a.well) >= healedFor {
			*a = attempts{}
		}
		a.well = time.Time{}
	}
}

// begin counts an attempt, after which there is a pause that doubles.
func (a *attempts) begin(now time.Time, reasons []plan.Reason) {
	delay := maxHealDelay
	if shift := a.count; shift < 6 { // 2^6 s is above the bound
		delay = min(firstHealDelay<<shift, maxHealDelay)
	}
	a.count++
	a.begun = false
	a.next, a.well = now.Add(delay), time.Time{}
	for _, r := range reasons {
		if r == plan.Unhealthy {
			a.unhealthy++
		}
	}
}
