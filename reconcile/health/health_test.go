package health

import (
	"testing"
	"time"
)

// play probes with a clock of its own: each probe takes no time and ends as ok says. It returns when each was due.
func play(c Check, until time.Duration, ok func(at time.Duration) bool) (*Monitor, []time.Duration, map[Status]time.Duration) {
	start := time.Unix(0, 0)
	m := NewMonitor(c, start)
	var due []time.Duration
	first := map[Status]time.Duration{}
	for at := time.Duration(0); at <= until; {
		due = append(due, at)
		code := 1
		if ok(at) {
			code = 0
		}
		now := start.Add(at)
		at += m.Record(Result{Start: now, End: now, Code: code})
		if _, seen := first[m.Status()]; !seen {
			first[m.Status()] = now.Sub(start)
		}
	}
	return m, due, first
}

func TestTiming(t *testing.T) {
	never := func(time.Duration) bool { return false }
	from := func(d time.Duration) func(time.Duration) bool { return func(at time.Duration) bool { return at >= d } }
	second := Check{Interval: time.Second, Retries: 3}
	for _, tt := range []struct {
		name      string
		check     Check
		ok        func(time.Duration) bool
		status    Status
		by, after time.Duration
	}{
		{"healthy at once", second, from(0), Healthy, 0, 0},
		{"soon after it is", Check{Interval: 30 * time.Second, Retries: 3}, from(300 * time.Millisecond), Healthy, 800 * time.Millisecond, 300 * time.Millisecond},
		{"interval times retries", second, never, Unhealthy, 3 * time.Second, 3 * time.Second},
		{"start period comes first", Check{Interval: time.Second, Retries: 2, StartPeriod: 10 * time.Second}, never, Unhealthy, 13 * time.Second, 12 * time.Second},
		{"a long interval is not used up by quick failures", Check{Interval: 30 * time.Second, Retries: 3}, never, Unhealthy, 92 * time.Second, 90 * time.Second},
		{"start interval slows the start", Check{Interval: 30 * time.Second, Retries: 3, StartPeriod: time.Minute, StartInterval: 5 * time.Second}, from(20 * time.Second), Healthy, 25 * time.Second, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, due, first := play(tt.check, 2*time.Minute, tt.ok)
			at, seen := first[tt.status]
			if !seen || at < tt.after || at > tt.by {
				t.Errorf("%s after %s (%v), expected between %s and %s; probes at %v", tt.status, at, seen, tt.after, tt.by, due)
			}
		})
	}
}

func TestAfterTheFirstSuccessIntervalRules(t *testing.T) {
	m, due, _ := play(Check{Interval: 10 * time.Second, Retries: 2}, time.Minute, func(at time.Duration) bool { return at < 25*time.Second })
	if len(due) != 7 || due[1] != 10*time.Second || m.Status() != Unhealthy || m.Failing() != 4 {
		t.Errorf("probes at %v, %s, failing %d", due, m.Status(), m.Failing())
	}
	if n := len(m.Results()); n != Kept {
		t.Errorf("kept %d results", n)
	}
}
