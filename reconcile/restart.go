package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/healing"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
)

// Restart stops and starts containers; with them those that depend on them with restart: true, unless NoDeps. What it has stopped is owed until
// it runs again: when the restart fails, or its caller ends it, healing does the rest.
func (e *Engine) Restart(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return e.errand(ctx, project, "restart", o, sink)
}

// PlanRestart says what Restart would do, and changes nothing.
func (e *Engine) PlanRestart(ctx context.Context, project string, o ask.ServiceOptions) (*ask.Preview, error) {
	release, err := e.loop.Glance(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	c, err := e.planErrand(ctx, project, "restart", o, nil)
	if err != nil {
		return nil, err
	}
	return preview(project, c.plan, nil), nil
}

// planRestart makes the plan of a restart, or of what is left of one that was cut short: cut is the record then.
func (c *errand) planRestart(have *plan.Observed, o ask.ServiceOptions, cut *wish.Record) {
	opt := plan.RestartOptions{DependsOn: c.members.DependsOn(c.file), Services: o.Services, NoDeps: o.NoDeps, Timeout: o.Timeout}
	if cut != nil {
		opt.Resume, opt.Owed = true, cut.Owed
	}
	c.plan = plan.BuildRestart(c.project, have, opt)
	c.begins = healing.OweRestarts(c.plan)
	for _, change := range c.plan.Changes {
		c.wished[change.ID] = true
	}
}
