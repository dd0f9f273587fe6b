package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// WhyOptions of Why.
type WhyOptions struct {
	Service string `json:"service"`
	Index   int    `json:"index,omitempty"` // of one replica; 0 = all
}

// Why is how the containers of a service came to be what they are.
type Why struct {
	Project    string         `json:"project"`
	Service    string         `json:"service"`
	Containers []WhyContainer `json:"containers"`

	// Unfinished is the last plan of the project, if it was not carried out to its end: that may be why a container does not run.
	Unfinished *history.Entry `json:"unfinished,omitempty"`
}

// WhyContainer is that of one container.
type WhyContainer struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Health    string    `json:"health,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`

	// Stopped says that a command has stopped it, and that it stays so.
	Stopped bool `json:"stopped,omitempty"`

	// Start is how it came to run by the last plan that started it; nil when nobody remembers.
	Start *history.Start `json:"start,omitempty"`
	// Restart is what has started it again since, nil = nothing has.
	Restart *Restarted `json:"restart,omitempty"`

	Evidence
}

// Restarted is the last time that a container was started again without a plan.
type Restarted struct {
	Time  time.Time `json:"time,omitzero"`
	Count int       `json:"count,omitempty"` // by its restart policy, since somebody started it
	Cause string    `json:"cause"`
}

// Evidence is what explains why a container is not as it should be. What fails tells it, and `stack why`; both in the words of Lines.
type Evidence struct {
	Exit   *runtime.Exit `json:"exit,omitempty"`   // of the last run that has ended
	Probes []ProbeResult `json:"probes,omitempty"` // the last ones of this run, or of the last, oldest first
	Log    []string      `json:"log,omitempty"`    // the last lines

	telling *health.Result // the probe that says something of why, nil = none does
}

// evidenceLines is how much of a log evidence shows.
const evidenceLines = 20

// evidence of c, whose supervisor says s.
func (e *Engine) evidence(ctx context.Context, c *container, s supervise.Status) *Evidence {
	v := &Evidence{Exit: c.Exit, Probes: probeResults(s.Results)}
	if x := s.Exit; v.Exit == nil && x != nil { // it runs again
		v.Exit = &runtime.Exit{Code: x.Code, OOM: x.OOM, FinishedAt: x.At, Error: x.Error}
	}
	if r, ok := lastProbe(s); ok {
		v.telling = &r
	}
	v.Log = e.lastLines(context.WithoutCancel(ctx), c, evidenceLines)
	return v
}

// Lines are the last probe's words, if they explain something, and the last lines of the log, without what would move a terminal's cursor.
func (v *Evidence) Lines() []string {
	var out []string
	if r := v.explaining(); r != nil {
		line := fmt.Sprintf("its last health check exited with code %d", r.ExitCode)
		words := strings.Split(strings.TrimSpace(visible(r.Output)), "\n")
		if words[0] != "" {
			line += ": " + words[0]
		}
		out = append(out, line)
		for _, w := range words[1:] {
			out = append(out, "  "+w)
		}
	}
	if len(v.Log) > 0 {
		out = append(out, "the last lines of its log:")
		for _, l := range v.Log {
			out = append(out, "  "+visible(l))
		}
	}
	return out
}

// explaining is the probe that says why. One that has travelled has lost which of them that is: it was the last, if that failed.
func (v *Evidence) explaining() *ProbeResult {
	if v.telling != nil {
		return &probeResults([]health.Result{*v.telling})[0]
	}
	if n := len(v.Probes); n > 0 && v.Probes[n-1].ExitCode != 0 {
		return &v.Probes[n-1]
	}
	return nil
}

// String is Lines below an error's first line.
func (v *Evidence) String() string {
	var b strings.Builder
	for _, l := range v.Lines() {
		b.WriteString("\n  " + l)
	}
	return b.String()
}

func probeResults(list []health.Result) []ProbeResult {
	var out []ProbeResult
	for _, r := range list {
		out = append(out, ProbeResult{Start: r.Start, End: r.End, ExitCode: r.Code, Output: r.Output})
	}
	return out
}

// lastProbe is the last health check that says something of why a container is not healthy: not one that was cut off by the
// container's end.
func lastProbe(s supervise.Status) (health.Result, bool) {
	for _, r := range slices.Backward(s.Results) {
		if r.Code == 0 {
			return r, false
		}
		if s.State == supervise.Running || s.Exit == nil || r.End.Before(s.Exit.At) {
			return r, true
		}
	}
	return health.Result{}, false
}

// Why says how the containers of a service came to be what they are. It changes nothing. ErrNotFound when there is none.
func (e *Engine) Why(ctx context.Context, project string, o WhyOptions) (*Why, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	out := &Why{Project: project, Service: o.Service}
	starts := map[string]*history.Start{}
	if e.history != nil && e.history.Err() == nil {
		if starts, err = e.history.Starts(project); err != nil {
			return nil, err
		}
		all, err := e.history.List(project)
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && all[n-1].Outcome != history.Done {
			out.Unfinished = &all[n-1]
		}
	}
	r, err := e.wish(project)
	if err != nil || r == nil { // who needs the record says what is wrong with it
		r = wish.New()
	}
	for _, c := range list {
		if c.service != o.Service || c.oneOff || o.Index != 0 && c.number != o.Index {
			continue
		}
		s := e.statusOf(c)
		w := WhyContainer{Name: c.name, ID: c.ID, State: stateWord(c, s), StartedAt: c.StartedAt, Start: e.startOf(c, starts[c.name]), Restart: e.restartOf(c, s), Evidence: *e.evidence(ctx, c, s)}
		if c.Status == runtime.Running && c.health != nil {
			w.Health = string(s.Health)
		}
		w.Stopped = c.Status == runtime.Stopped && r.Off[c.id()]
		out.Containers = append(out.Containers, w)
	}
	if len(out.Containers) == 0 {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot explain service %s of project %s: it has no container; `stack up` makes one", o.Service, project))
	}
	return out, nil
}

// startOf is what is known of c's start: of this Engine's time, or kept. What is known of another container of its name says nothing.
func (e *Engine) startOf(c *container, kept *history.Start) *history.Start {
	e.mu.Lock()
	s := e.started[[2]string{c.project, c.name}]
	e.mu.Unlock()
	if s == nil || s.ID != c.ID {
		s = kept
	}
	if s == nil || s.ID != c.ID {
		return nil
	}
	if s.Health == nil && e.fresh(s) {
		return e.withHealth([]*history.Start{s})[0]
	}
	return s
}

// fresh says whether the supervisor has seen all of the run that began with s: one that an earlier daemon began it has only seen a part of.
func (e *Engine) fresh(s *history.Start) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.started[[2]string{e.names[s.ID].project, s.Container}] == s
}

// restartOf is what has started c again since a plan did.
func (e *Engine) restartOf(c *container, s supervise.Status) *Restarted {
	e.mu.Lock()
	told, ok := e.restarts[c.ID]
	e.mu.Unlock()
	switch {
	case s.Restarts > 0:
		r := &Restarted{Time: s.StartedAt, Count: s.Restarts, Cause: fmt.Sprintf("its restart policy (%s)", c.spec.Restart.Name)}
		if s.Exit != nil {
			r.Cause += ": it had " + ended(s)
		}
		return r
	case ok:
		return &told
	}
	return nil
}

// noteRestart remembers what ev tells: that a container was started again, by whom it may be, and why.
func (e *Engine) noteRestart(ev Event) {
	if ev.Kind != "container" || ev.Text != "Restarted" || ev.Detail == "" || ev.ID == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restarts[ev.ID] = Restarted{Time: ev.Time, Cause: ev.Detail}
}
