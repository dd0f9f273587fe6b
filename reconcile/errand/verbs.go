package errand

import (
	"context"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/wish"
)

// Restart stops and starts containers; with them those that depend on them with restart: true, unless NoDeps. What it has stopped is owed until
// it runs again: when the restart fails, or its caller ends it, healing does the rest.
func (er *Errands) Restart(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return er.errand(ctx, project, "restart", o, sink)
}

// PlanRestart says what Restart would do, and changes nothing.
func (er *Errands) PlanRestart(ctx context.Context, project string, o ask.ServiceOptions) (*ask.Preview, error) {
	release, err := er.loop.Glance(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	c, err := er.planErrand(ctx, project, "restart", o, nil)
	if err != nil {
		return nil, err
	}
	return planning.Preview(project, c.plan, nil), nil
}

// planRestart makes the plan of a restart, or of what is left of one that was cut short: cut is the record then.
func (c *task) planRestart(have *plan.Observed, o ask.ServiceOptions, cut *wish.Record) {
	opt := plan.RestartOptions{DependsOn: c.members.DependsOn(c.file), Services: o.Services, NoDeps: o.NoDeps, Timeout: o.Timeout}
	if cut != nil {
		opt.Resume, opt.Owed, opt.Begun = true, cut.Owed(), cut.Pass.Starts
	}
	c.plan = plan.BuildRestart(c.project, have, opt)
	c.owed = c.plan.Interrupts(have)
	for _, change := range c.plan.Changes {
		c.wished[change.ID] = true
	}
}

// Stop stops containers, dependents before what they depend on. They stay stopped until somebody starts them.
func (er *Errands) Stop(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return er.errand(ctx, project, "stop", o, sink)
}

// Start starts containers that exist, what they depend on first and ready. Those that it has started are wished for from then on.
func (er *Errands) Start(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return er.errand(ctx, project, "start", o, sink)
}
