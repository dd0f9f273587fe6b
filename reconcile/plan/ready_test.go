package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWhatCannotBeMadeStopsNothing: whichever container cannot be made, or has no room to be started again, none that ran is stopped and then not started because
// of that. But for one that is made in the place of what is in its way: its predecessor has to go before.
func TestWhatCannotBeMadeStopsNothing(t *testing.T) {
	failures := 0
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 5))
		want := randomDesired(r)
		have := randomObserved(r, want)
		p, diags := Build(want, have, randomOptions(r, want))
		if diags.HasErrors() {
			continue
		}
		for _, s := range p.Steps {
			switch s.Op.(type) {
			case CreateContainer, ReserveStart:
			default:
				continue
			}
			if slices.ContainsFunc(slices.Concat(s.Needs, s.After), func(n int) bool { _, goes := p.Steps[n-1].Op.(DeleteContainer); return goes }) {
				continue
			}
			failures++
			if name := leftStopped(p, s.ID); name != "" {
				t.Fatalf("seed %d: when #%d fails, %s is stopped and not started:\n%s", seed, s.ID, name, p)
			}
		}
	}
	if failures < 1000 {
		t.Errorf("only %d steps of the plans could fail", failures)
	}
}

// leftStopped names a container that is stopped to run again, and does not, when step failed fails; "" = none.
func leftStopped(p *Plan, failed int) string {
	skipped := map[int]bool{failed: true}
	for _, s := range p.Steps {
		skipped[s.ID] = skipped[s.ID] || slices.ContainsFunc(s.Needs, func(n int) bool { return skipped[n] })
	}
	stops := map[ID]int{}
	for _, s := range p.Steps {
		if _, ok := s.Op.(StopContainer); ok {
			stops[s.For]++
		}
	}
	for _, s := range p.Steps {
		stop, ok := s.Op.(StopContainer)
		if !ok || skipped[s.ID] || stops[s.For] > 1 { // of two with one number one goes for good
			continue
		}
		for _, o := range p.Steps {
			if start, ok := o.Op.(StartContainer); ok && o.For == s.For && start.Name == stop.Name && skipped[o.ID] {
				return stop.Name
			}
		}
	}
	return ""
}
