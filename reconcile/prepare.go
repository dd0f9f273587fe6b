package reconcile

import (
	"context"
	"slices"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// comparison is a file and a host that a plan is to be made of. An up and its plan take the same way here: they differ in what they
// do about images that the registry must be asked for.
type comparison struct {
	project *spec.Project
	want    *plan.Desired
	have    *plan.Observed
	opt     plan.Options
	said    diag.List                    // of how want came about
	built   map[string]images.EarlyBuild // before there was a plan, by ImageKey
}

// compare reads what the file names and the host, and chooses ports if o says so: the caller has to releasePorts then. It changes nothing.
func (e *Engine) compare(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions) (*comparison, error) {
	if err := desire.DigestFiles(p, want).Err(); err != nil {
		return nil, err
	}
	said, err := e.ports.Choose(ctx, want, o)
	if err != nil {
		return nil, err
	}
	have, err := e.observe(ctx, want)
	if err != nil {
		return nil, err
	}
	return &comparison{project: p, want: want, have: have, said: said, opt: plan.Options{
		Services: o.Services, NoDeps: o.NoDeps, ForceRecreate: o.ForceRecreate, NoRecreate: o.NoRecreate, AlwaysDeps: o.AlwaysDeps,
		RenewAnon: o.RenewAnon, RemoveOrphans: o.RemoveOrphans, IgnoreOrphans: o.IgnoreOrphans, NoStart: o.NoStart, NoBuild: o.NoBuild, Timeout: o.Timeout,
	}}, nil
}

// build makes the plan, and what there is to say of it. With errors in the list nothing may be done; the plan is nil if the fault is in
// what is asked for, not in the host. It changes nothing.
func (e *Engine) build(ctx context.Context, c *comparison) (*plan.Plan, diag.List, error) {
	elsewhere, err := e.elsewhere(c.project)
	if err != nil {
		return nil, nil, err
	}
	pl, diags := plan.Build(c.want, c.have, c.opt)
	diags = slices.Concat(elsewhere, c.said, diags)
	position.Fill(c.project, diags)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	faults, err := e.preflight.Survey(ctx, c.project, c.want, pl)
	return pl, append(diags, faults...), err
}

// split parts warnings from errors.
func split(list diag.List) (warnings, faults diag.List) {
	for _, d := range list {
		if d.Severity == diag.Warning {
			warnings = append(warnings, d)
		} else {
			faults = append(faults, d)
		}
	}
	return slices.Clip(warnings), slices.Clip(faults)
}
