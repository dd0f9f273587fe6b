package supervise

import (
	"fmt"
	"time"

	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
)

// State of a unit.
type State uint8

const (
	Ended    State = iota // not running, and not started again by us
	Running               // started
	Backoff               // has exited; started again when the delay is over
	Stopping              // somebody asked for a stop; it still runs
)

func (s State) String() string { return [...]string{"ended", "running", "backoff", "stopping"}[s] }

// edges are the transitions that can happen; anything else is a fault of this package.
var edges = map[State][]State{
	Ended:    {Running},
	Running:  {Backoff, Stopping, Ended},
	Backoff:  {Running, Backoff, Ended},
	Stopping: {Ended, Running}, // Running: the stop failed and somebody started it again
}

// Delays between restarts: docker's. Tests of a program that crashes at once should not spin, and one that has run
// for a while has earned a fresh start.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = time.Minute
	settled      = 10 * time.Second
)

// Config is how a container is to be kept.
type Config struct {
	Policy plan.RestartPolicy
	Health *health.Check // nil = none
}

// Exit is how a run ended.
type Exit struct {
	Code  int
	OOM   bool
	At    time.Time
	Error string
}

// Status is what others see of a unit.
type Status struct {
	State     State
	StartedAt time.Time
	Restarts  int
	Asked     bool          // somebody has asked for a stop since it was started
	Exit      *Exit         // of the last run that ended, nil = none has
	Health    health.Status // "" = no check
	Failing   int           // strikes in a row
	Results   []health.Result
	// HealthyAt is when this run was healthy for the first time, zero before that; HealthyProbes, how many probes that took.
	HealthyAt     time.Time
	HealthyProbes int
	Run           uint64 // counts starts that this Group has seen
}

// unit is one container. The Group's lock guards it.
type unit struct {
	id      string
	cfg     Config
	state   State
	run     uint64 // which start; what belongs to an earlier one is late and ignored
	started time.Time
	asked   bool
	last    bool // its policy is not asked when this run ends
	exit    *Exit
	told    chan struct{}   // of the last run that ended: closed when Changed knows of it; nil = none has
	monitor *health.Monitor // of this run

	restarts int           // by policy, since somebody started it
	delay    time.Duration // of the last restart

	cancel  func()        // ends this run's probes and wait, or the delay in Backoff
	changed chan struct{} // closed at the next change

	forgotten bool // it is not the Group's any more
}

// transition is the one place where the state changes.
func (u *unit) transition(to State) {
	for _, ok := range edges[u.state] {
		if ok == to {
			u.state = to
			return
		}
	}
	panic(fmt.Sprintf("supervise: container %.12s cannot go from %s to %s", u.id, u.state, to))
}

func (u *unit) status() Status {
	s := Status{State: u.state, StartedAt: u.started, Restarts: u.restarts, Asked: u.asked, Exit: u.exit, Run: u.run}
	if u.monitor != nil {
		s.Health, s.Failing, s.Results = u.monitor.Status(), u.monitor.Failing(), u.monitor.Results()
		s.HealthyAt, s.HealthyProbes = u.monitor.FirstHealthy()
	}
	return s
}

// again says whether the policy starts the container once more after e, and after which delay.
func (u *unit) again(e Exit) (time.Duration, bool) {
	p := u.cfg.Policy
	ran := e.At.Sub(u.started)
	if p.Window > 0 && ran >= p.Window {
		u.restarts = 0 // it was up for as long as counts as a success
	}
	if !p.Again(e.Code) || p.MaxAttempts > 0 && u.restarts >= p.MaxAttempts {
		return 0, false
	}
	switch {
	case p.Delay > 0:
		u.delay = p.Delay
	case u.delay == 0 || ran >= settled:
		u.delay = firstBackoff
	default:
		u.delay = min(2*u.delay, maxBackoff)
	}
	return u.delay, true
}
