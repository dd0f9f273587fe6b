package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
)

// observe adds what the supervisors know.
func (e *Engine) observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := inventory.Observe(ctx, e.drivers, want)
	if err != nil {
		return nil, err
	}
	e.supervised(have)
	have.Anonymous, err = e.interim.KeptAnonymous(want.Project)
	return have, err
}

// supervised adds to have what is not on the host but in memory.
func (e *Engine) supervised(have *plan.Observed) {
	for i := range have.Containers {
		c := &have.Containers[i]
		s, ok := e.group.Status(c.ID)
		if !ok {
			continue
		}
		c.Healthy = c.Status == plan.StatusRunning && s.Health == health.Healthy // of one that has ended it says how it was
		c.Unhealthy = c.Status == plan.StatusRunning && s.State == supervise.Running && s.Health == health.Unhealthy
		if s.State == supervise.Backoff && (c.Status == plan.StatusExited || c.Status == plan.StatusCreated) { // created: its start is under way
			c.Status = plan.StatusRestarting
		}
		c.MustRestart = c.MustRestart || e.roster.Stubborn(c.ID)
	}
}
