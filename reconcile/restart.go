package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// Restart stops and starts containers; with them those that depend on them with restart: true, unless NoDeps. What it has stopped is owed until
// it runs again: when the restart fails, or its caller ends it, healing does the rest.
func (e *Engine) Restart(ctx context.Context, project string, o ServiceOptions, sink Sink) error {
	release, err := e.pass(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	p, pl, err := e.planRestart(ctx, project, o, nil)
	if err != nil {
		return err
	}
	e.loop.pardon(project)
	do := e.performer(p, &plan.Desired{Project: project}, sink)
	if do.command = discreet(o.Command); do.command == "" {
		do.command = "restart"
	}
	ch := e.beginRestart(pl, do, o)
	err = e.beginCommand(project, "restart", o, oweRestarts(pl))
	if ch = ch.recorded(sink); err == nil {
		err = e.carryOutRestart(ctx, pl, do)
	}
	ch.end(err, sink)
	return err
}

// PlanRestart says what Restart would do, and changes nothing.
func (e *Engine) PlanRestart(ctx context.Context, project string, o ServiceOptions) (*Preview, error) {
	release, err := e.glance(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	_, pl, err := e.planRestart(ctx, project, o, nil)
	if err != nil {
		return nil, err
	}
	return preview(project, pl, nil), nil
}

// planRestart makes the plan of a restart, or of what is left of one that was cut short: cut is the record then. p is the last applied file,
// nil when there is none.
func (e *Engine) planRestart(ctx context.Context, project string, o ServiceOptions, cut *wish.Record) (p *spec.Project, _ *plan.Plan, _ error) {
	host, err := readHost(ctx, e.drivers, project)
	if err != nil {
		return nil, nil, err
	}
	m := membersOf(host.containers)
	switch _, err := m.of(project, o.Services); {
	case err != nil && cut == nil:
		return nil, nil, err
	case len(m.list) == 0 && cut == nil:
		return nil, nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot restart project %s: it has no containers; create them with `stack up`", project))
	}
	if p, err = e.desired(project); err != nil {
		return nil, nil, err
	}
	opt := plan.RestartOptions{DependsOn: m.dependsOn(p), Services: o.Services, NoDeps: o.NoDeps, Timeout: o.Timeout}
	if cut != nil {
		opt.Resume, opt.Owed = true, cut.Owed
	}
	host.containers = slices.DeleteFunc(host.containers, func(c *container) bool { return c.spare })
	have := host.of(project)
	e.supervised(have)
	return p, plan.BuildRestart(project, have, opt), nil
}

// dependsOn is what each service needs. Labels do not say what it can do without; p does, if it has the service.
func (m *members) dependsOn(p *spec.Project) map[string]map[string]plan.Dependency {
	on := map[string]map[string]plan.Dependency{}
	for pair, dep := range m.edge {
		if p != nil && p.Services[pair[0]] != nil {
			if d, ok := p.Services[pair[0]].DependsOn[pair[1]]; ok {
				dep.Required = d.Required
			}
		}
		if on[pair[0]] == nil {
			on[pair[0]] = map[string]plan.Dependency{}
		}
		on[pair[0]][pair[1]] = dep
	}
	return on
}

// carryOutRestart does what pl says and records what it has come to.
func (e *Engine) carryOutRestart(ctx context.Context, pl *plan.Plan, do *performer) error {
	project := pl.Project
	err := e.apply(ctx, do, pl, apply.Options{})
	list, failed := listContainers(context.WithoutCancel(ctx), e.drivers, project)
	if failed != nil && err == nil {
		err = failed
	}
	planned := map[plan.ID]bool{}
	for _, c := range pl.Changes {
		planned[c.ID] = true
	}
	list = slices.DeleteFunc(list, func(c *container) bool {
		return c.oneOff || c.spare || !planned[c.id()] || err != nil && c.Status != runtime.Running
	})
	return e.endCommand(project, err, on(list))
}

// resumeRestart does what is left of a restart that was cut short.
func (e *Engine) resumeRestart(ctx context.Context, project string, options json.RawMessage) error {
	var o ServiceOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return err
	}
	r, err := e.wish(project)
	if err != nil || r == nil {
		return err
	}
	p, pl, err := e.planRestart(ctx, project, o, r)
	if err != nil {
		return err
	}
	return e.carryOutRestart(ctx, pl, e.performer(p, &plan.Desired{Project: project}, nil))
}

// beginRestart opens the entry of a restart in the history. It asks for no file, so that a rollback steps over it.
func (e *Engine) beginRestart(pl *plan.Plan, do *performer, o ServiceOptions) *chapter {
	return e.beginChapter(pl, do, history.Entry{Services: o.Services}, nil, nil)
}
