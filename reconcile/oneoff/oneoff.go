// Package oneoff runs a command in a new container of a service (stack run): what the service needs is brought up, and the container made beside the others, which it is
// none of. Called by the engine. It touches the host through the drivers only.
package oneoff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/disk"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/preflight"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Runner runs one-offs. Safe for concurrent use.
type Runner struct {
	drivers   driver.Set
	roots     roots.Roots
	hub       *event.Hub
	loop      *loop.Loop
	planner   *planning.Planner
	preflight *preflight.Inspector
	images    *images.Images
	kit       *performer.Kit
	keep      *lifecycle.Keeper
	up        Up
}

// Up brings up what a one-off needs. *reconcile.Engine does.
type Up interface {
	// BringUp does what want says of the services of o. Precondition: the project's turn is held.
	BringUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, sink event.Sink) error
}

// Options of New.
type Options struct {
	Drivers   driver.Set
	Roots     roots.Roots // of the instance
	Hub       *event.Hub
	Loop      *loop.Loop
	Planner   *planning.Planner
	Preflight *preflight.Inspector
	Images    *images.Images
	Kit       *performer.Kit
	Keep      *lifecycle.Keeper
	Up        Up
}

// New is that of the services on o.Drivers.
func New(o Options) *Runner {
	return &Runner{
		drivers: o.Drivers, roots: o.Roots, hub: o.Hub, loop: o.Loop, planner: o.Planner, preflight: o.Preflight, images: o.Images, kit: o.Kit, keep: o.Keep, up: o.Up,
	}
}

// Run makes a one-off container of a service, with the caller's streams attached unless Detach, and returns how it ended. What
// the service depends on is brought up first, unless NoDeps.
func (r *Runner) Run(ctx context.Context, p *spec.Project, o ask.RunOptions, io process.IO, sink event.Sink) (process.Exit, error) {
	defer r.loop.Enter()()
	c, err := r.prepareRun(ctx, p, o, sink)
	if err != nil {
		return process.Exit{}, err
	}
	if o.Detach {
		if err := r.keep.Start(ctx, c.ID, sink); err != nil {
			err = fmt.Errorf("cannot start container %s: %w", c.Name, err)
			var hook *lifecycle.HookError
			if errors.As(err, &hook) {
				return process.Exit{}, err // it runs, as after an up
			}
			return process.Exit{}, errors.Join(err, r.discard(ctx, c, o.Remove || r.neverRan(ctx, c)))
		}
		r.hub.Say(sink, event.Event{Project: p.Name, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: "Started"})
		return process.Exit{}, nil
	}
	exit, err := r.keep.RunAttached(ctx, c, io, sink)
	if err != nil {
		err = fmt.Errorf("cannot run container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return exit, errors.Join(err, r.discard(ctx, c, o.Remove || err != nil && r.neverRan(ctx, c)))
}

// neverRan says of a one-off whose start has failed that nothing of it has run: there is nothing to look at in it but the error, which is told, and it goes, as what an up could not start. docker compose leaves
// it as one that was created.
func (r *Runner) neverRan(ctx context.Context, c *inventory.Container) bool {
	now, err := inventory.ByID(context.WithoutCancel(ctx), r.drivers, c.ID)
	return err == nil && !now.Alive() && now.StartedAt.IsZero()
}

// discard removes a one-off that has ended, if it is to be.
func (r *Runner) discard(ctx context.Context, c *inventory.Container, remove bool) error {
	if !remove {
		return nil
	}
	return r.keep.Remove(context.WithoutCancel(ctx), c, true, nil)
}

// prepareRun brings up what the one-off needs and creates it.
func (r *Runner) prepareRun(ctx context.Context, p *spec.Project, o ask.RunOptions, sink event.Sink) (_ *inventory.Container, err error) {
	ctx, release, err := r.loop.Yielding(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	defer func() { err = loop.Overruled(ctx, "run", p.Name, err) }()
	want, err := r.planner.Desire(p, ask.UpOptions{Pull: o.Pull, Build: o.Build, Offline: o.Offline})
	if err != nil {
		return nil, err
	}
	s := want.Services[o.Service]
	if s == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot run %q: project %s has no such service", o.Service, p.Name))
	}
	if s.Provider != "" {
		return nil, position.At(p, spec.Path("services."+o.Service+".provider"), errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot run %q: it has no container, %s provides it", o.Service, s.Provider)))
	}
	if err := r.checkShared(ctx, p, o); err != nil {
		return nil, err
	}
	if s.Offline {
		if err := r.planner.CheckLocal(ctx, p, want, s, o.NoDeps); err != nil {
			return nil, err
		}
	}
	if o.RemoveOrphans {
		if err := r.removeOrphans(ctx, p, sink); err != nil {
			return nil, err
		}
	}
	do := r.kit.New(p, want, sink)
	do.Keep = true // a one-off makes no record
	if !o.NoDeps && len(s.DependsOn) > 0 {
		if err := r.up.BringUp(ctx, p, want, ask.UpOptions{Services: slices.Sorted(maps.Keys(s.DependsOn)), Pull: o.Pull, Build: o.Build, Offline: o.Offline, Parallel: o.Parallel, Command: o.Command, Ports: o.Ports}, sink); err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
			dep := s.DependsOn[name]
			if dep.Condition == plan.Started || want.Services[name].Replicas == 0 {
				continue
			}
			if err := do.WaitReady(ctx, plan.WaitReady{Service: name, Condition: dep.Condition, Optional: !dep.Required}); err != nil {
				return nil, err
			}
		}
	}
	claims, err := claimsOf(s, o)
	if err != nil {
		return nil, err
	}
	if err := r.preflight.CheckOneOff(ctx, p, claims).Err(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			do.Undo(ctx)
		}
	}()
	if err := r.runGround(ctx, p, want, s, do, sink); err != nil {
		return nil, err
	}
	d, err := oneOff(s, o)
	if err != nil {
		return nil, err
	}
	if d.Name, d.Named = o.Name, o.Name != ""; !d.Named {
		d.Name = fmt.Sprintf("%s-%s-run-%s", p.Name, o.Service, objectid.Short(d.Slug))
	}
	id, err := do.Create(ctx, d)
	if err != nil {
		err = fmt.Errorf("cannot create container %s: %w", d.Name, err)
		if taken := (*naming.TakenError)(nil); d.Named && errors.As(err, &taken) {
			return nil, err // the file does not say it
		}
		return nil, position.At(p, spec.Path("services."+o.Service), disk.Advised(err, r.roots))
	}
	c, err := inventory.ByID(ctx, r.drivers, id)
	if err != nil {
		return nil, err
	}
	if err := r.beforeRun(ctx, p, c, do, sink); err != nil {
		return nil, err
	}
	// From here on the terminal is the container's: whoever shows progress ends it at this event.
	r.hub.Say(sink, event.Event{Project: p.Name, Kind: "container", Name: d.Name, ID: id, Service: o.Service, Phase: event.Done, Text: "Created"})
	return c, nil
}

// beforeRun runs the pre_start of a one-off: what is done once for the service only when nothing of that runs. When it fails the one-off goes, with --rm
// and without, as it does when its start fails: nothing of itself has run.
func (r *Runner) beforeRun(ctx context.Context, p *spec.Project, c *inventory.Container, do *performer.Performer, sink event.Sink) error {
	if len(c.Spec.PreStart) == 0 {
		return nil
	}
	all, err := inventory.ListService(ctx, r.drivers, c.Project, c.Service)
	if err == nil {
		err = r.keep.PreStart(ctx, c, plan.StepsBefore(c.Spec.PreStart, !inventory.Serves(all, c.Service)), sink, do.NoteRun)
	}
	if err == nil {
		return nil
	}
	place := "services." + c.Service
	if hook := (*lifecycle.HookError)(nil); errors.As(err, &hook) {
		place += "." + hook.Key
	}
	return errors.Join(position.At(p, spec.Path(place), disk.Advised(err, r.roots)), r.discard(ctx, c, true))
}

// checkShared refuses a one-off in a pid namespace in which somebody may look into every process, or in which it itself may while others are
// started there. It is one more service beside those of the file, of which the ones that do not run harm nobody.
func (r *Runner) checkShared(ctx context.Context, p *spec.Project, o ask.RunOptions) error {
	if p.Joined(p.Services[o.Service].PID) == "" {
		return nil
	}
	list, err := inventory.List(ctx, r.drivers, p.Name)
	if err != nil {
		return err
	}
	q := *p
	q.Services = maps.Clone(p.Services)
	for name, s := range p.Services {
		if !slices.ContainsFunc(list, func(c *inventory.Container) bool { return c.Service == name && c.Alive() }) {
			harmless := *s
			harmless.Privileged, harmless.CapAdd = false, nil
			q.Services[name] = &harmless
		}
	}
	one := *p.Services[o.Service]
	one.Name, one.Replicas = one.Name+" (run)", 1
	one.CapAdd, one.CapDrop = slices.Concat(one.CapAdd, o.CapAdd), slices.Concat(one.CapDrop, o.CapDrop)
	q.Services[one.Name] = &one
	return spec.CheckSharedPIDs(&q)
}

// removeOrphans stops and removes the containers of services that the file does not have.
func (r *Runner) removeOrphans(ctx context.Context, p *spec.Project, sink event.Sink) error {
	list, err := inventory.List(ctx, r.drivers, p.Name)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.OneOff || !c.Orphan(p) {
			continue
		}
		if err := errors.Join(r.keep.Stop(ctx, c, nil, sink), r.keep.Remove(ctx, c, false, sink)); err != nil {
			return err
		}
	}
	return nil
}

// runGround makes image, networks and volumes of the service itself.
func (r *Runner) runGround(ctx context.Context, p *spec.Project, want *plan.Desired, s *plan.Service, do *performer.Performer, sink event.Sink) error {
	alone := *want
	only := *s
	only.DependsOn, only.Replicas = nil, 1
	alone.Services = map[string]*plan.Service{s.Name: &only}
	builtUnder(want, s, alone.Services)
	if err := desire.DigestFiles(p, &alone).Err(); err != nil {
		return err
	}
	s.Spec = only.Spec
	have, err := r.planner.Observe(ctx, &alone)
	if err != nil {
		return err
	}
	// A plan for a first container of the service, of which only the ground is carried out.
	have.Containers = nil
	opt := plan.Options{NoStart: true}
	if _, err := r.images.Refresh(ctx, p, &alone, have, &opt, sink); err != nil {
		return err
	}
	pl, diags, err := r.planner.Build(ctx, &planning.Comparison{Project: p, Want: &alone, Have: have, Opt: opt})
	if err != nil {
		return err
	}
	if err := diags.Err(); err != nil {
		return err
	}
	for _, step := range pl.Steps {
		switch step.Op.(type) {
		case plan.PullImage, plan.BuildImage, plan.CreateNetwork, plan.CreateVolume:
			if err := do.Perform(ctx, step); err != nil {
				return err
			}
		}
	}
	return nil
}

// builtUnder adds to services those whose images that of s is built on. Of their containers none is wanted.
func builtUnder(want *plan.Desired, s *plan.Service, services map[string]*plan.Service) {
	if s.Build == nil {
		return
	}
	for _, name := range s.Build.From {
		on := want.Services[name]
		if on == nil || services[name] != nil {
			continue
		}
		image := *on
		image.DependsOn, image.Replicas = nil, 0
		image.Spec = plan.Spec{Image: on.Spec.Image, Platform: on.Spec.Platform}
		services[name] = &image
		builtUnder(want, on, services)
	}
}

// claimsOf are the ports that a one-off of s is to publish.
func claimsOf(s *plan.Service, o ask.RunOptions) (claims []preflight.Claim, err error) {
	if o.ServicePorts {
		claims = preflight.Claims(s.Name, s.Spec.Ports, "")
	}
	for _, text := range o.Publish {
		ports, err := parsePublish(text)
		if err != nil {
			return nil, err
		}
		for _, port := range ports {
			claims = append(claims, preflight.Claim{Port: port})
		}
	}
	return claims, nil
}

// oneOff changes a service's container into what the caller of run asks for. It publishes no port and has no policy of its
// own unless asked.
func oneOff(s *plan.Service, o ask.RunOptions) (lifecycle.Draft, error) {
	d := lifecycle.Draft{Service: s, Spec: s.Spec, Number: 1, Slug: objectid.New(), OneOff: true, Remove: o.Remove, Aliases: o.UseAliases, Rows: o.Rows, Cols: o.Cols}
	c := &d.Spec
	if len(o.Args) > 0 {
		c.Command = o.Args
	}
	if o.Entrypoint != nil {
		c.Entrypoint = *o.Entrypoint
		if c.Entrypoint == nil {
			c.Entrypoint = []string{}
		}
		if len(o.Args) == 0 {
			c.Command = []string{}
		}
	}
	c.Environment = maps.Clone(c.Environment)
	if c.Environment == nil {
		c.Environment = map[string]string{}
	}
	for _, kv := range o.Env {
		k, v, _ := strings.Cut(kv, "=")
		c.Environment[k] = v
	}
	c.Labels = maps.Clone(c.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	maps.Copy(c.Labels, o.Labels)
	if o.User != "" {
		c.User = o.User
	}
	if o.Cwd != "" {
		c.WorkingDir = o.Cwd
	}
	c.TTY, c.StdinOpen = o.TTY, o.Interactive
	c.CapAdd = append(slices.Clone(c.CapAdd), o.CapAdd...)
	c.CapDrop = append(slices.Clone(c.CapDrop), o.CapDrop...)
	c.Restart = plan.RestartPolicy{}
	if !o.ServicePorts {
		c.Ports = nil
	}
	for _, text := range o.Publish {
		ports, err := parsePublish(text)
		if err != nil {
			return d, err
		}
		c.Ports = append(slices.Clone(c.Ports), ports...)
	}
	for _, text := range o.Volumes {
		m, err := parseVolume(text)
		if err != nil {
			return d, err
		}
		c.Mounts = slices.DeleteFunc(slices.Clone(c.Mounts), func(have plan.Mount) bool { return have.Target == m.Target })
		c.Mounts = append(c.Mounts, m)
	}
	return d, nil
}
