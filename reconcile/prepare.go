package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/plan"
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
}

// compare reads what the file names and the host. It changes nothing.
func (e *Engine) compare(ctx context.Context, p *spec.Project, want *plan.Desired, o UpOptions) (*comparison, error) {
	if err := digestFiles(p, want).Err(); err != nil {
		return nil, err
	}
	have, err := e.observe(ctx, want)
	if err != nil {
		return nil, err
	}
	return &comparison{p, want, have, plan.Options{
		Services: o.Services, NoDeps: o.NoDeps, ForceRecreate: o.ForceRecreate, NoRecreate: o.NoRecreate, AlwaysDeps: o.AlwaysDeps,
		RenewAnon: o.RenewAnon, RemoveOrphans: o.RemoveOrphans, IgnoreOrphans: o.IgnoreOrphans, NoStart: o.NoStart, Timeout: o.Timeout,
	}}, nil
}

// build makes the plan, and what there is to say of it. With errors in the list nothing may be done; the plan is nil if the fault is in
// what is asked for, not in the host. It changes nothing.
func (e *Engine) build(ctx context.Context, c *comparison) (*plan.Plan, diag.List, error) {
	pl, diags := plan.Build(c.want, c.have, c.opt)
	e.place(c.project, diags)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	faults, err := e.preflight(ctx, c.project, c.want, pl)
	return pl, append(diags, faults...), err
}

// dueImage is an image that containers of a service have, at a key of the service in the file.
type dueImage struct {
	service *plan.Service
	ref, at string
}

// dueImages are the images that the registry must be asked for. Those of now have containers: whether these stay depends on
// the answer. Those that are only noted have none.
func (e *Engine) dueImages(ctx context.Context, p *spec.Project, want *plan.Desired, have *plan.Observed, opt plan.Options) (now map[string]dueImage, noted map[string]bool, err error) {
	inUse := map[string]bool{}
	for _, c := range have.Containers {
		if s := want.Services[c.Service]; s != nil && !c.OneOff {
			s.Spec.EachImage(func(ref, _ string) { inUse[plan.ImageKey(ref, s.Spec.Platform)] = true })
		}
	}
	noted = map[string]bool{}
	now = map[string]dueImage{}
	for _, name := range selected(want, opt.Services, opt.NoDeps) {
		s := want.Services[name]
		s.Spec.EachImage(func(ref, at string) {
			key := plan.ImageKey(ref, s.Spec.Platform)
			_, local := have.Images[key]
			needed := !local && s.PullPolicy != "never"
			if local && err == nil {
				if needed, err = stale(ctx, e.drivers, s, ref); err != nil {
					err = e.at(p, spec.Path("services."+name+".pull_policy"), fmt.Errorf("service %s: %w", name, err))
				}
			}
			switch {
			case !needed || s.Replicas == 0:
			case inUse[key]:
				now[key] = dueImage{s, ref, at}
			default:
				noted[key] = true
			}
		})
		if err != nil {
			return nil, nil, err
		}
		for i, h := range s.Spec.PreStart {
			if h.Image == "" || s.Replicas == 0 {
				continue
			}
			needed, err := stale(ctx, e.drivers, s, h.Image)
			if err != nil {
				return nil, nil, e.at(p, spec.Path(fmt.Sprintf("services.%s.pre_start[%d].image", name, i)), fmt.Errorf("service %s: %w", name, err))
			}
			if needed {
				noted[plan.ImageKey(h.Image, s.Spec.Platform)] = true
			}
		}
	}
	return now, noted, nil
}

// stale says whether the pull policy of s asks for a pull of ref, an image of it that is here.
func stale(ctx context.Context, d driver.Set, s *plan.Service, ref string) (bool, error) {
	if !datable(s.PullPolicy) {
		return false, nil
	}
	info, err := resolve(ctx, d, ref, s.Spec.Platform)
	if errors.Is(err, errdefs.ErrNotFound) {
		return false, nil // the plan sees that by itself
	}
	if err != nil {
		return false, err
	}
	return due(s.PullPolicy, info.PulledAt, time.Now())
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
