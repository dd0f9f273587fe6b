// Package planning makes a plan of a file and this host. It combines what the file asks for with the caller's options
// and the record of the last up, reads the host, and calls package plan.
//
// Called by the engine, errand, healing and oneoff. It changes nothing, except that it pulls or builds images if only
// that shows whether a container stays, and holds ports that it has chosen.
package planning

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/ports"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/preflight"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Planner makes plans of files and this host. It changes nothing, but that images are got on which it depends whether a container stays (Decide), and that ports are
// held that are chosen (Compare). Safe for concurrent use.
type Planner struct {
	drivers   driver.Set
	wishes    *wish.Book
	interim   *interim.Book
	ports     *ports.Ports
	images    *images.Images
	preflight *preflight.Inspector
	keep      *lifecycle.Keeper
	names     *naming.Names
	offline   bool
}

// Options of New.
type Options struct {
	Drivers   driver.Set
	Wishes    *wish.Book
	Interim   *interim.Book
	Ports     *ports.Ports
	Images    *images.Images
	Preflight *preflight.Inspector
	Keep      *lifecycle.Keeper
	Names     *naming.Names
	Offline   bool // every plan is as with UpOptions.Offline
}

// New is a planner of o.
func New(o Options) *Planner {
	return &Planner{drivers: o.Drivers, wishes: o.Wishes, interim: o.Interim, ports: o.Ports, images: o.Images, preflight: o.Preflight, keep: o.Keep, names: o.Names, offline: o.Offline}
}

// Comparison is a file and a host that a plan is to be made of. An up and its plan take the same way here: they differ in what they
// do about images that the registry must be asked for.
type Comparison struct {
	Project *spec.Project
	Want    *plan.Desired
	Have    *plan.Observed
	Opt     plan.Options
	said    diag.List                    // of how want came about
	Built   map[string]images.EarlyBuild // before there was a plan, by ImageKey
}

// Compare reads what the file names and the host, and chooses ports if o says so: the caller has to release them then (ports.Ports). It changes nothing.
func (pn *Planner) Compare(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions) (*Comparison, error) {
	if err := desire.DigestFiles(p, want).Err(); err != nil {
		return nil, err
	}
	said, err := pn.ports.Choose(ctx, want, o)
	if err != nil {
		return nil, err
	}
	have, err := pn.Observe(ctx, want)
	if err != nil {
		return nil, err
	}
	if have.Names, err = pn.foreignNames(ctx, want); err != nil {
		return nil, err
	}
	return &Comparison{Project: p, Want: want, Have: have, said: said, Opt: plan.Options{
		Services: o.Services, NoDeps: o.NoDeps, ForceRecreate: o.ForceRecreate, NoRecreate: o.NoRecreate, AlwaysDeps: o.AlwaysDeps,
		RenewAnon: o.RenewAnon, RemoveOrphans: o.RemoveOrphans, IgnoreOrphans: o.IgnoreOrphans, NoStart: o.NoStart, NoBuild: o.NoBuild, Timeout: o.Timeout,
	}}, nil
}

// Build makes the plan, and what there is to say of it. With errors in the list nothing may be done; the plan is nil if the fault is in
// what is asked for, not in the host. It changes nothing.
func (pn *Planner) Build(ctx context.Context, c *Comparison) (*plan.Plan, diag.List, error) {
	elsewhere, err := pn.elsewhere(c.Project)
	if err != nil {
		return nil, nil, err
	}
	pl, diags := plan.Build(c.Want, c.Have, c.Opt)
	diags = slices.Concat(elsewhere, c.said, diags)
	position.Fill(c.Project, diags)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	faults, err := pn.preflight.Survey(ctx, c.Project, c.Want, pl)
	return pl, append(diags, faults...), err
}

// Desire is Desire with the caller's scale, pull policy and wish for builds, and with the content of files that the project names.
func (pn *Planner) Desire(p *spec.Project, o ask.UpOptions) (*plan.Desired, error) {
	scale := o.Scale
	if err := pn.recall(p); err != nil {
		return nil, err
	}
	want, diags := desire.Of(p)
	for _, name := range slices.Sorted(maps.Keys(scale)) {
		s := want.Services[name]
		switch {
		case s == nil:
			diags = append(diags, &diag.Diagnostic{Code: "unknown-service", Summary: "no such service", Detail: fmt.Sprintf("cannot scale %q: project %s has no such service", name, p.Name)})
		case s.Provider != "":
			diags = append(diags, &diag.Diagnostic{Code: "bad-scale", Summary: "a service of a provider has no containers to scale", Detail: fmt.Sprintf("%s is provided by %s", name, s.Provider),
				Subject: p.Sources.At(spec.Path("services." + name + ".provider"))})
		case scale[name] < 0:
			diags = append(diags, &diag.Diagnostic{Code: "bad-scale", Summary: "a service cannot have a negative number of containers", Detail: fmt.Sprintf("%s=%d", name, scale[name])})
		case s.ContainerName != "" && scale[name] > 1:
			diags = append(diags, &diag.Diagnostic{Code: "name-of-several", Summary: "a service with a container_name can have one container only",
				Detail: fmt.Sprintf("service %s is to have %d, all called %s", name, scale[name], s.ContainerName), Subject: p.Sources.At(spec.Path("services." + name + ".container_name"))})
		default:
			s.Replicas = scale[name]
		}
	}
	for _, s := range want.Services {
		s.Offline = o.Offline || pn.offline
		if o.Pull != "" && o.Pull != "policy" {
			s.PullPolicy = o.Pull
			if s.Build != nil {
				s.Build.Again = ""
				if o.Pull == "build" {
					s.Build.Again = "asked for by --pull build"
				}
			}
		}
		if (o.Build || slices.Contains(o.BuildOnly, s.Name)) && s.Build != nil {
			s.PullPolicy, s.Build.Again = "build", "asked for by --build"
		}
	}
	if err := diags.Err(); err != nil {
		return want, err
	}
	return want, pn.ports.Fill(want, o)
}

// Foresee is Build of all that an up of c would do: what it gets before there is a plan, because it depends on that whether containers stay (early), is a step of the
// plan too. It changes nothing.
func (pn *Planner) Foresee(ctx context.Context, c *Comparison) (pl *plan.Plan, early map[string]images.DueImage, said diag.List, err error) {
	d, err := pn.images.Due(ctx, c.Project, c.Want, c.Have, c.Opt)
	if err != nil {
		return nil, nil, nil, err
	}
	all := *c
	all.Opt.Refresh, all.Opt.Rebuild = d.Refresh, d.Rebuild
	for key, due := range d.Now {
		if due.Maker == nil || due.Registry {
			all.Opt.Refresh[key] = true
		} else {
			all.Opt.Rebuild[key] = due.Why
		}
	}
	lacking, err := pn.images.Lacking(ctx, c.Project, d.Builds)
	if err != nil {
		return nil, nil, nil, err
	}
	pl, said, err = pn.Build(ctx, &all)
	return pl, d.Now, joined(lacking, said), err
}

// joined are both, in the order of their places.
func joined(a, b diag.List) diag.List {
	all := slices.Concat(a, b)
	all.Sort()
	return all
}

// CheckLocal names all images that a one-off of s, and an up of what s needs unless alone, would have to fetch, and what their builds would. Nothing may be fetched.
func (pn *Planner) CheckLocal(ctx context.Context, p *spec.Project, want *plan.Desired, s *plan.Service, alone bool) error {
	with := *want
	one := *s
	one.Replicas = max(one.Replicas, 1)
	with.Services = maps.Clone(want.Services)
	with.Services[s.Name] = &one
	c, err := pn.Compare(ctx, p, &with, ask.UpOptions{Services: []string{s.Name}, NoDeps: alone, NoStart: true})
	if err != nil {
		return err
	}
	// It is one more beside those that are there.
	c.Have.Containers = slices.DeleteFunc(c.Have.Containers, func(c plan.ContainerState) bool { return c.Service == s.Name })
	_, _, said, err := pn.Foresee(ctx, c)
	if err != nil {
		return err
	}
	return slices.DeleteFunc(said, func(d *diag.Diagnostic) bool { return d.Code != plan.CodeNotLocal }).Err()
}

// Decide makes an up's plan. It changes nothing but images: those on which it depends whether a container stays are pulled. begun
// is of the up that is carried on, see plan.Options; nil = none is.
func (pn *Planner) Decide(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, begun plan.Debts, sink event.Sink) (*Comparison, *plan.Plan, diag.List, error) {
	c, err := pn.Compare(ctx, p, want, o)
	if err != nil {
		return nil, nil, nil, err
	}
	c.Opt.Begun = begun
	if o.Offline || pn.offline {
		// All that is missing is told before the first image is built.
		if _, _, said, err := pn.Foresee(ctx, c); err != nil || said.HasErrors() {
			return c, nil, said, err
		}
	}
	if c.Built, err = pn.images.Refresh(ctx, p, want, c.Have, &c.Opt, sink); err != nil {
		return nil, nil, nil, err
	}
	pl, said, err := pn.Build(ctx, c)
	if pl != nil {
		images.TellBuilt(pl, c.Built)
	}
	return c, pl, said, err
}

// recall gives p's models the address of their runner at the last up, and its providers that have not run for this command what they have set when they last did, as long as the file says the same of
// them: a plan, a run without dependencies and an up of other services go by that.
func (pn *Planner) recall(p *spec.Project) error {
	if len(p.Models) == 0 && !slices.ContainsFunc(slices.Collect(maps.Values(p.Services)), func(s *spec.Service) bool { return s.Provider != nil && s.Provider.Provided == nil }) {
		return nil
	}
	was, err := pn.wishes.File(p.Name)
	if err != nil || was == nil {
		return err
	}
	for key, m := range p.Models {
		if before := was.Models[key]; m.Endpoint == "" && before != nil && before != m {
			m.Endpoint = before.Endpoint
		}
	}
	for name, s := range p.Services {
		before := was.Services[name]
		if s.Provider == nil || s.Provider.Provided != nil || before == nil || before == s || before.Provider == nil {
			continue
		}
		if s.Provider.Type == before.Provider.Type && reflect.DeepEqual(s.Provider.Options, before.Provider.Options) {
			s.Provider.Provided = before.Provider.Provided
		}
	}
	return nil
}

// Fixed is the plan of p on this host as it is, without a look at any registry.
func (pn *Planner) Fixed(ctx context.Context, p *spec.Project, o ask.UpOptions) (*Comparison, *plan.Plan, diag.List, error) {
	want, err := pn.Desire(p, o)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := pn.Compare(ctx, p, want, o)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := pn.images.Due(ctx, p, want, c.Have, c.Opt)
	if err != nil {
		return nil, nil, nil, err
	}
	lacking, err := pn.images.Lacking(ctx, p, d.Builds)
	if err != nil {
		return nil, nil, nil, err
	}
	now, noted := d.Now, d.Refresh
	var asked diag.List
	var built []string
	for key := range d.Rebuild {
		built = append(built, key)
	}
	for key, due := range now {
		if _, local := c.Have.Images[key]; due.Maker != nil && local && !due.Registry {
			built = append(built, key)
			continue
		} else if due.Maker != nil && !local {
			return nil, nil, nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot fix a plan of project %s: image %s, which its containers are made of, is not on this host any more, and what becomes of them depends on what is built; build it with `stack build` first",
				p.Name, due.Ref))
		}
		if _, local := c.Have.Images[key]; !local {
			return nil, nil, nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot fix a plan of project %s: image %s, which its containers are made of, is not on this host any more, and what becomes of them depends on what the registry has; get it with `stack pull` first",
				p.Name, due.Ref))
		}
		noted[key] = true
	}
	var images []string
	for key := range noted {
		if _, local := c.Have.Images[key]; local {
			images = append(images, key)
		}
	}
	if slices.Sort(images); len(images) > 0 {
		asked = append(asked, &diag.Diagnostic{Severity: diag.Warning, Code: "registry-not-asked", Summary: "images are taken as they are on this host",
			Detail: "their pull policy asks for a look at the registry, which a saved plan does not do: " + strings.Join(images, ", "), Hint: "`stack pull` before planning gets newer ones"})
	}
	if slices.Sort(built); len(built) > 0 {
		asked = append(asked, &diag.Diagnostic{Severity: diag.Warning, Code: "not-built", Summary: "images are taken as they are on this host",
			Detail: "they are to be built again, which a saved plan does only with those that are not here: " + strings.Join(built, ", "), Hint: "`stack build` before planning builds them"})
	}
	pl, said, err := pn.Build(ctx, c)
	return c, pl, joined(lacking, append(asked, said...)), err
}

// Preview takes a plan's changes, without the values that are nobody's business.
func Preview(project string, pl *plan.Plan, said diag.List) *ask.Preview {
	out := &ask.Preview{Project: project, Changes: []plan.Change{}}
	warnings, faults := split(said)
	out.Warnings, out.Faults = warnings, faults
	if pl == nil {
		return out
	}
	out.Changes = wording.Changes(pl.Changes)
	return out
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
