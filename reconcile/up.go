package reconcile

import (
	"context"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Up makes the host what p says. Nothing is changed before everything that can be known to fail has been looked at.
func (e *Engine) Up(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
	var before map[string]v1.Hash
	if o.Prune {
		before = e.images.Built(ctx, p, o)
	}
	err := e.bring(ctx, p, o, sink, func(ctx context.Context) (*planning.Comparison, *plan.Plan, diag.List, error) {
		want, err := e.planner.Desire(p, o)
		if err != nil {
			return nil, nil, nil, err
		}
		return e.planner.Decide(ctx, p, want, o, nil, sink)
	})
	if err == nil && o.Prune {
		e.images.PruneSuperseded(ctx, p, before, sink)
	}
	return err
}

// bring carries out the plan that decide makes, in p's turn, and waits for what came up if o says so.
func (e *Engine) bring(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink, decide func(context.Context) (*planning.Comparison, *plan.Plan, diag.List, error)) (err error) {
	ctx, release, err := e.loop.Yielding(ctx, p.Name)
	if err != nil {
		return err
	}
	defer release()
	defer func() { err = loop.Overruled(ctx, "up", p.Name, err) }()
	defer e.ports.Release(ctx, p.Name)
	e.loop.Pardon(p.Name)
	if o.Wait && o.WaitTimeout > 0 { // it bounds the waits for dependencies too
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.WaitTimeout, &await.Late{After: o.WaitTimeout})
		defer cancel()
	}
	c, pl, said, err := decide(ctx)
	if err != nil {
		return err
	}
	end, err := e.carryOut(ctx, c, pl, said, o, sink)
	if err == nil && o.Wait {
		err = e.waitUp(ctx, p, c.Want, o, sink)
	}
	end(err)
	return err
}

// bringUp plans and applies. begun is of the up that is carried on, nil = none is. Precondition: the project's pass is held.
func (e *Engine) bringUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, begun plan.Debts, sink event.Sink) error {
	defer e.ports.Release(ctx, p.Name)
	c, pl, said, err := e.planner.Decide(ctx, p, want, o, begun, sink)
	if err != nil {
		return err
	}
	end, err := e.carryOut(ctx, c, pl, said, o, sink)
	end(err)
	return err
}

// upper is the Engine as a one-off's Up.
type upper struct{ e *Engine }

func (u upper) BringUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, sink event.Sink) error {
	return u.e.bringUp(ctx, p, want, o, nil, sink)
}

// carryOut does what pl says, unless there is a fault in said. end, which records in the history how it came out, is for the caller to call, whatever the error is.
func (e *Engine) carryOut(ctx context.Context, c *planning.Comparison, pl *plan.Plan, said diag.List, o ask.UpOptions, sink event.Sink) (end func(error), err error) {
	p, want := c.Project, c.Want
	end = func(error) {}
	leaving, ran := e.keep.Leaving(c.Have)
	if err := said.Err(); err != nil {
		return end, err
	}
	for _, d := range said {
		e.hub.Say(sink, event.Event{Project: p.Name, Kind: "project", Name: p.Name, Phase: event.Warning, Text: d.Summary, Detail: joinDetail(d)})
	}
	if err := e.images.Find(ctx, p, pl, sink); err != nil {
		return end, err
	}
	if err := e.keep.RemoveVanished(ctx, p.Name); err != nil {
		return end, err
	}
	do := e.kit.New(p, want, sink)
	do.Command, do.Built = wording.Discreet(o.Command), c.Built
	do.Have = c.Have
	ch := e.begin(c, pl, do, o)
	err = e.beginRollouts(pl)
	if err == nil {
		var options any
		if !pl.Empty() {
			options = o
		}
		do.Keep, err = e.wishes.BeginUp(p, want.Selected(o.Services, o.NoDeps), o.Scale, func(r *wish.Record) {
			r.Ports = autoport.Chosen(want, r.Ports)
			r.Owe(pl.Interrupts(c.Have))
		}, options, starts(c, pl))
	}
	ch = ch.Recorded(sink)
	do.Number = ch.Number()
	end = func(err error) { ch.End(err, do.Starts(pl), sink) }
	if err != nil {
		return end, err
	}
	e.sayKept(p.Name, c.Have, pl, want, c.Opt, sink)
	e.sayCauses(pl, sink)
	if err = do.CarryOut(ctx, pl, bounds(o.Parallel, len(pl.Steps))); err == nil {
		err = e.interim.DropRollouts(p.Name, want.Selected(c.Opt.Services, c.Opt.NoDeps))
	}
	maps.Copy(ran, do.Started())
	return end, e.endUp(ctx, do, pl, o, leaving, ran, err)
}

// starts are those that pl is to make, and those that the up which it carries on was to make: of these some were made.
func starts(c *planning.Comparison, pl *plan.Plan) plan.Debts {
	all := plan.Debts{}
	maps.Copy(all, c.Opt.Begun)
	maps.Copy(all, pl.Starts(c.Have)) // a promise that is made anew is one against the run of now
	return all
}

// joinDetail is what a warning has to say beyond its summary: the values, what to do, the place.
func joinDetail(d *diag.Diagnostic) string {
	text := d.Detail
	if d.Hint != "" {
		text += "; " + d.Hint
	}
	if d.Subject != nil {
		if at := d.Subject.Start.String(); at != "" {
			text += " (" + at + ")"
		}
	}
	return text
}

// bounds are apply's for a caller's Parallel and a plan of so many steps.
func bounds(parallel, steps int) apply.Options {
	switch {
	case parallel < 0:
		return apply.Options{Parallel: steps, Pulls: steps}
	case parallel == 0:
		return apply.Options{}
	}
	// As many pulls beside the other steps would be twice what was asked for, but that many starts can wait for one.
	return apply.Options{Parallel: parallel, Pulls: min(parallel, 4)}
}

// sayKept tells of the containers that need nothing, so that a reader sees all of them.
func (e *Engine) sayKept(project string, have *plan.Observed, pl *plan.Plan, want *plan.Desired, opt plan.Options, sink event.Sink) {
	changed := map[plan.ID]bool{}
	for _, c := range pl.Changes {
		changed[c.ID] = true
	}
	for _, c := range have.Containers {
		if c.OneOff || changed[plan.Container(c.Service, c.Replica)] || want.Services[c.Service] == nil {
			continue
		}
		if len(opt.Services) > 0 && !slices.Contains(opt.Services, c.Service) {
			continue
		}
		text := map[plan.Status]string{plan.StatusRunning: "Running", plan.StatusRestarting: "Restarting", plan.StatusExited: "Exited", plan.StatusPaused: "Paused", plan.StatusCreated: "Created"}[c.Status]
		// That it is paused has not come about now.
		e.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Done, Text: text, Awaited: c.Status == plan.StatusPaused})
	}
}

// beginRollouts records what pl's rolling updates begin from. Precondition: the new file is not recorded yet.
func (e *Engine) beginRollouts(pl *plan.Plan) error {
	services := rollouts(pl)
	if len(services) == 0 {
		return nil
	}
	before, err := e.wishes.File(pl.Project)
	if err != nil {
		return err
	}
	return e.interim.BeginRollouts(pl.Project, services, before)
}

// rollouts are the services that pl updates in turns.
func rollouts(pl *plan.Plan) (services []string) {
	for _, s := range pl.Steps {
		if op, ok := s.Op.(plan.EndUpdate); ok {
			services = append(services, op.Service)
		}
	}
	return services
}

// waitUp is up --wait.
func (e *Engine) waitUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, sink event.Sink) error {
	chosen := map[string]bool{}
	for _, name := range want.Selected(o.Services, o.NoDeps) {
		chosen[name] = true
	}
	return e.waits.Services(ctx, p.Name, func(service string) bool { return chosen[service] }, o.WaitTimeout, sink)
}
