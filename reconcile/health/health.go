// Package health decides when a container is probed and what its results mean. It is pure: Monitor is a value that is
// told of each result with its time and answers when to probe next.
//
// docker waits a whole interval before its first look, so that a chain of five services with an interval of 1 s takes
// 7 s to come up. Here a container is probed at once when it starts, then quickly, backing off, until the first success;
// interval rules from there on. A quick failure is no strike: strikes are counted one per interval, so that
// a service has as long to come up as interval × retries (after start_period) promises.
//
// Nor is a quick success believed where nobody listens yet on what the container is to listen on: the images of most databases run a server of their
// own while they fill a new volume, which answers the usual check by its socket and then ends. Until docker would have looked, such a success is none.
package health

import (
	"cmp"
	"slices"
	"time"
)

// Status of a container that has a check.
type Status string

const (
	Starting  Status = "starting"
	Healthy   Status = "healthy"
	Unhealthy Status = "unhealthy"
)

// Check is a probe and its timing; every field but StartPeriod and StartInterval is set.
type Check struct {
	Args          []string      `json:"args"`
	Interval      time.Duration `json:"interval"`
	Timeout       time.Duration `json:"timeout"`
	Retries       int           `json:"retries"`
	StartPeriod   time.Duration `json:"startPeriod,omitempty"`
	StartInterval time.Duration `json:"startInterval,omitempty"`

	// Ports are the TCP ports that others expect the container to listen on. Who has the record of the container's knows them.
	Ports []PortRange `json:"-"`
}

// PortRange is the ports from First to Last.
type PortRange struct{ First, Last int }

// Serves says whether who listens on ports listens on what c expects: one of Ports is enough, for few programs use all that their image names.
func (c *Check) Serves(ports []int) bool {
	if len(c.Ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(port int) bool {
		return slices.ContainsFunc(c.Ports, func(r PortRange) bool { return r.First <= port && port <= r.Last })
	})
}

// dockerStartInterval is the start_interval that docker takes where none is given.
const dockerStartInterval = 5 * time.Second

// firstLook is how long after a start docker looks for the first time.
func (c *Check) firstLook() time.Duration {
	if c.StartPeriod > 0 {
		return min(c.StartPeriod, cmp.Or(c.StartInterval, dockerStartInterval))
	}
	return c.Interval
}

// Result of one probe.
type Result struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Code   int       `json:"code"`
	Output string    `json:"output"` // at most MaxOutput bytes of stdout and stderr

	// Early says that the container did not serve when the probe began, see Check.Serves.
	Early bool `json:"-"`
}

const (
	// MaxOutput is what is kept of a probe's output, bytes; docker's number.
	MaxOutput = 4096
	// Kept results per container; docker's number.
	Kept = 5

	firstDelay = 50 * time.Millisecond
	quickest   = time.Second // the slowest of the quick probes
)

// Monitor follows one run of one container.
type Monitor struct {
	check   Check
	started time.Time
	status  Status
	failing int // strikes in a row
	quick   time.Duration
	strike  time.Time // of the last strike, or where counting begins
	results []Result
	probes  int // so far

	healthyAt     time.Time // when it was healthy for the first time
	healthyProbes int       // how many probes that took
}

// NewMonitor begins with a container that started at started. Its first probe is due at once.
func NewMonitor(c Check, started time.Time) *Monitor {
	return &Monitor{check: c, started: started, status: Starting, quick: firstDelay, strike: started.Add(c.StartPeriod)}
}

func (m *Monitor) Status() Status { return m.status }

// Failing is the strikes in a row.
func (m *Monitor) Failing() int { return m.failing }

// Results are the last ones, oldest first.
func (m *Monitor) Results() []Result { return append([]Result(nil), m.results...) }

// FirstHealthy is when the run was healthy for the first time, the zero time before that, and how many probes that took.
func (m *Monitor) FirstHealthy() (at time.Time, probes int) { return m.healthyAt, m.healthyProbes }

// Record takes in a result and returns how long after its end the next probe is due.
func (m *Monitor) Record(r Result) time.Duration {
	if len(r.Output) > MaxOutput {
		r.Output = r.Output[:MaxOutput]
	}
	if m.results = append(m.results, r); len(m.results) > Kept {
		m.results = m.results[1:]
	}
	m.probes++
	if look := m.started.Add(m.check.firstLook()); r.Code == 0 && r.Early && m.status == Starting && r.Start.Before(look) {
		return min(m.next(m.startCeiling()), max(look.Sub(r.End), 0))
	}
	if r.Code == 0 {
		if m.healthyAt.IsZero() {
			m.healthyAt, m.healthyProbes = r.End, m.probes
		}
		m.status, m.failing = Healthy, 0
		return m.check.Interval
	}
	if m.status == Starting {
		if end := m.started.Add(m.check.StartPeriod); r.End.Before(end) {
			return m.next(m.startCeiling())
		}
		// Strikes come once per interval, however quickly we look.
		if r.End.Sub(m.strike) < m.check.Interval {
			return m.next(min(m.check.Interval, quickest, m.strike.Add(m.check.Interval).Sub(r.End)))
		}
		m.strike = r.End
	}
	if m.failing++; m.failing >= m.check.Retries {
		m.status = Unhealthy
		return m.check.Interval
	}
	if m.status == Starting {
		return m.next(min(m.check.Interval, quickest))
	}
	return m.check.Interval
}

// startCeiling is how slow quick probes may get within the start period. Someone who sets start_interval above our own
// pace has a probe that costs something.
func (m *Monitor) startCeiling() time.Duration {
	if m.check.StartInterval > 0 {
		return m.check.StartInterval
	}
	return min(m.check.Interval, quickest)
}

// next is the next quick delay: doubling, up to ceiling.
func (m *Monitor) next(ceiling time.Duration) time.Duration {
	d := min(m.quick, ceiling)
	m.quick = min(2*m.quick, max(ceiling, firstDelay))
	return d
}
