package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// evidenceLines is how much of a log evidence shows.
const evidenceLines = 20

// evidence of c, whose supervisor says s.
func (e *Engine) evidence(ctx context.Context, c *inventory.Container, s supervise.Status) *ask.Evidence {
	v := &ask.Evidence{Exit: c.Exit, Probes: inventory.ProbeResults(s.Results)}
	if x := s.Exit; v.Exit == nil && x != nil { // it runs again
		v.Exit = &process.Exit{Code: x.Code, OOM: x.OOM, FinishedAt: x.At, Error: x.Error}
	}
	if r, ok := lastProbe(s); ok {
		v.Telling = &inventory.ProbeResults([]health.Result{r})[0]
	}
	v.Log = output.LastLines(context.WithoutCancel(ctx), c, evidenceLines)
	return v
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
func (e *Engine) Why(ctx context.Context, project string, o ask.WhyOptions) (*ask.Why, error) {
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	out := &ask.Why{Project: project, Service: o.Service}
	starts, unfinished, err := e.memory.Kept(project)
	if err != nil {
		return nil, err
	}
	out.Unfinished = unfinished
	r, err := e.wishes.Of(project)
	if err != nil || r == nil { // who needs the record says what is wrong with it
		r = wish.New()
	}
	for _, c := range list {
		if c.Service != o.Service || c.OneOff || o.Index != 0 && c.Number != o.Index {
			continue
		}
		s := e.statusOf(c)
		w := ask.WhyContainer{Name: c.Name, ID: c.ID, State: inventory.StateWord(c, s), StartedAt: c.StartedAt, Start: e.memory.StartOf(c, starts[c.Name]), Restart: e.memory.RestartOf(c, s), Evidence: *e.evidence(ctx, c, s)}
		if c.Status == runtime.Running && c.Health != nil {
			w.Health = string(s.Health)
		}
		w.Stopped = c.Status == runtime.Stopped && r.Off[c.Replica()]
		out.Containers = append(out.Containers, w)
	}
	if len(out.Containers) == 0 {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot explain service %s of project %s: it has no container; `stack up` makes one", o.Service, project))
	}
	return out, nil
}
