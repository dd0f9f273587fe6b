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

// TestSuccessOfWhoDoesNotServe: a server that answers its check and does not listen yet, as those of databases do while they fill a new volume, is not
// healthy before it listens, or before docker would have looked for the first time.
func TestSuccessOfWhoDoesNotServe(t *testing.T) {
	for _, tt := range []struct {
		name      string
		check     Check
		serves    time.Duration // from when on
		by, after time.Duration
	}{
		{"soon after it listens", Check{Interval: 30 * time.Second, Retries: 3}, 2 * time.Second, 3 * time.Second, 2 * time.Second},
		{"never, at the first interval", Check{Interval: 4500 * time.Millisecond, Retries: 3}, time.Hour, 4500 * time.Millisecond, 4500 * time.Millisecond},
		{"never, at the start interval", Check{Interval: 30 * time.Second, Retries: 3, StartPeriod: time.Minute, StartInterval: 2 * time.Second}, time.Hour, 2 * time.Second, 2 * time.Second},
		{"never, at docker's start interval", Check{Interval: 30 * time.Second, Retries: 3, StartPeriod: time.Minute}, time.Hour, 5 * time.Second, 5 * time.Second},
		{"never, at the end of a short start period", Check{Interval: 30 * time.Second, Retries: 3, StartPeriod: 3 * time.Second}, time.Hour, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Unix(0, 0)
			m := NewMonitor(tt.check, start)
			at := start
			for m.Status() == Starting {
				at = at.Add(m.Record(Result{Start: at, End: at, Early: at.Sub(start) < tt.serves}))
				if at.Sub(start) > time.Minute {
					t.Fatal("it is never healthy")
				}
			}
			if took := m.healthyAt.Sub(start); took < tt.after || took > tt.by {
				t.Errorf("healthy after %s and %d probes, expected between %s and %s", took, m.probes, tt.after, tt.by)
			}
		})
	}
	// It was healthy once: from there on the probe alone says what it is.
	m := NewMonitor(Check{Interval: 30 * time.Second, Retries: 1}, time.Unix(0, 0))
	m.Record(Result{Start: time.Unix(1, 0), End: time.Unix(1, 0)})
	m.Record(Result{Start: time.Unix(2, 0), End: time.Unix(2, 0), Early: true})
	if m.Status() != Healthy {
		t.Errorf("%s after a success", m.Status())
	}
}

func TestServes(t *testing.T) {
	c := Check{Ports: []PortRange{{80, 80}, {8000, 8009}}}
	for _, tt := range []struct {
		ports []int
		want  bool
	}{{nil, false}, {[]int{22, 81, 8010}, false}, {[]int{22, 80}, true}, {[]int{8009}, true}} {
		if got := c.Serves(tt.ports); got != tt.want {
			t.Errorf("who listens on %v serves: %v", tt.ports, got)
		}
	}
	if !(&Check{}).Serves(nil) {
		t.Error("of whom nothing is expected does not serve")
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
