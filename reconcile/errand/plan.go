package errand

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/preflight"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// task is a command on containers that exist (start, stop, restart) and its plan, which needs no file.
type task struct {
	project string
	members *inventory.Members
	file    *spec.Project // last applied; nil = none
	have    *plan.Observed
	plan    *plan.Plan             // made of have
	ends    []*inventory.Container // those that are stopped: what a start that was cut short has left of their pre_start goes too
	off     []plan.ID              // what it does not wish for from its beginning on: when it fails, what runs on is spared
	owed    plan.Debts             // what it stops to start it again
	starts  plan.Debts             // all that it starts
	wished  map[plan.ID]bool       // what it wishes for at its end: of these, when it fails, what runs
}

// errand plans verb and carries it out: on record from before its first change, so that the next daemon goes on with it, and in the history, where a
// rollback steps over it, since it asks for no file.
func (er *Errands) errand(ctx context.Context, project, verb string, o ask.ServiceOptions, sink event.Sink) (err error) {
	var release func()
	switch {
	case verb != "stop":
		ctx, release, err = er.loop.Yielding(ctx, project)
	case len(o.Services) == 0:
		release, err = er.loop.Overrule(ctx, project)
	default:
		release, err = er.loop.Pass(ctx, project)
	}
	if err != nil {
		return err
	}
	defer release()
	defer func() { err = loop.Overruled(ctx, verb, project, err) }()
	c, err := er.planErrand(ctx, project, verb, o, nil)
	if err != nil {
		return err
	}
	if err := er.checkPorts(ctx, c); err != nil {
		return err
	}
	if verb != "stop" {
		er.loop.Pardon(project)
	}
	if verb == "restart" || !o.Known {
		c.members.TellAbsent(project, o.Services, sink)
	}
	do := er.errandRunner(c, sink)
	if do.Command = wording.Discreet(o.Command); do.Command == "" {
		do.Command = verb
	}
	ch := er.memory.Begin(c.plan, do.Command, history.Entry{Services: o.Services}, nil, nil)
	err = er.wishes.Begin(project, verb, o, c.starts, func(r *wish.Record) {
		wish.Off(c.off)(r)
		r.Owe(c.owed)
	})
	ch = ch.Recorded(sink)
	do.Number = ch.Number()
	if err == nil {
		err = er.carryOutErrand(ctx, c, do, sink)
	}
	if err == nil && o.Wait {
		err = er.waits.Services(ctx, project, func(s string) bool { return len(o.Services) == 0 || slices.Contains(o.Services, s) }, o.WaitTimeout, sink)
	}
	ch.End(err, do.Starts(c.plan), sink)
	return err
}

// planErrand makes the plan of verb, or of what is left of one that was cut short: cut is the record then. It changes nothing.
func (er *Errands) planErrand(ctx context.Context, project, verb string, o ask.ServiceOptions, cut *wish.Record) (*task, error) {
	m, err := inventory.ListMembers(ctx, er.drivers, project)
	if err != nil {
		return nil, err
	}
	list := m.Of(o.Services)
	// As docker compose: there is nothing to stop or restart of what is not there, and what is to start must be. Of one that was cut short, what is gone by now needs nothing.
	if absent := m.Absent(o.Services); cut == nil && (verb == "start" || verb == "restart" && !o.Known) {
		switch {
		case len(absent) > 0:
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("service %q of project %s has no container", absent[0], project))
		case verb == "start" && len(m.List) == 0:
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot start project %s: it has no containers; create them with `stack up`", project))
		}
	}
	c := &task{project: project, members: m, wished: map[plan.ID]bool{}}
	if c.file, err = er.wishes.File(project); err != nil {
		return nil, err
	}
	var begun plan.Debts
	if cut != nil {
		begun = cut.Pass.Starts
	}
	have := er.present(m)
	switch verb {
	case "stop":
		c.plan = plan.BuildStop(project, have, plan.StopOptions{DependsOn: m.DependsOn(c.file), Services: o.Services, Timeout: o.Timeout})
		c.off, c.ends = inventory.Replicas(list), list
	case "start":
		if i := slices.IndexFunc(list, func(one *inventory.Container) bool {
			return one.Status == runtime.Paused && slices.Contains(o.Services, one.Service)
		}); i >= 0 && cut == nil {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot start service %q: %w", list[i].Service, await.Paused(list[i])))
		}
		on := m.DependsOn(c.file)
		c.plan = plan.BuildStart(project, commanded(have, m), plan.StartOptions{DependsOn: on, Services: o.Services, Begun: begun})
		if cut == nil {
			if err := er.lacking(c, on); err != nil {
				return nil, err
			}
		}
		for _, one := range list {
			c.wished[one.Replica()] = true
		}
		for id := range c.plan.Starts(have) { // what they depend on
			c.wished[id] = true
		}
	default:
		c.planRestart(commanded(have, m), o, cut)
	}
	c.have, c.starts = have, c.plan.Starts(have)
	return c, nil
}

// checkPorts is an error when somebody else has ports that containers publish which c is to start and which do not run. Nothing has been changed then.
func (er *Errands) checkPorts(ctx context.Context, c *task) error {
	var claims []preflight.Claim
	for _, step := range c.plan.Steps {
		op, ok := step.Op.(plan.StartContainer)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(c.members.List, func(one *inventory.Container) bool { return one.ID == op.ContainerID }); i >= 0 && !c.members.List[i].Alive() {
			claims = append(claims, preflight.Claims(op.Service, c.members.List[i].Spec.Ports, "`stack up --auto-ports`")...)
		}
	}
	faults, err := er.look.CheckStarts(ctx, c.file, c.project, claims)
	return cmp.Or(err, faults.Err())
}

// lacking is an error when a service that c starts depends on one that has no container, although its file wants one.
func (er *Errands) lacking(c *task, on map[string]map[string]plan.Dependency) error {
	for _, change := range c.plan.Changes {
		service := change.ID.Name
		for _, dep := range slices.Sorted(maps.Keys(on[service])) {
			if c.file == nil || !on[service][dep].Required || len(c.members.Absent([]string{dep})) == 0 {
				continue
			}
			if s := c.file.Services[dep]; s != nil && s.Provider == nil && s.Replicas > 0 {
				err := fmt.Errorf("cannot start service %q: service %q, which it depends on, has no container; create it with `stack up %s`", service, dep, service)
				return position.At(c.file, spec.Path("services."+service+".depends_on."+dep), errdefs.With(errdefs.ErrNotFound, err))
			}
		}
	}
	return nil
}

// present are the containers of m in the words of a plan, without what only the whole host can tell of them.
func (er *Errands) present(m *inventory.Members) *plan.Observed {
	have := new(plan.Observed)
	for _, c := range m.List {
		have.Containers = append(have.Containers, inventory.StateOf(c, nil))
	}
	er.keep.Supervised(have)
	return have
}

// commanded is have without those of two containers with one number that a command does not mean.
func commanded(have *plan.Observed, m *inventory.Members) *plan.Observed {
	spare := map[string]bool{}
	for _, c := range m.List {
		spare[c.ID] = c.Spare
	}
	have.Containers = slices.DeleteFunc(have.Containers, func(c plan.ContainerState) bool { return spare[c.ID] })
	return have
}

// errandRunner does the steps of c.
func (er *Errands) errandRunner(c *task, sink event.Sink) *performer.Performer {
	do := er.kit.New(c.file, &plan.Desired{Project: c.project}, sink)
	do.Keep = true // it makes nothing that could be undone
	do.Have = c.have
	return do
}

// carryOutErrand does what c's plan says and records what it has come to.
func (er *Errands) carryOutErrand(ctx context.Context, c *task, do *performer.Performer, sink event.Sink) error {
	have := er.present(c.members)
	leaving, ran := er.keep.Leaving(have)
	err := er.layGround(ctx, c, sink)
	if err == nil {
		err = do.CarryOut(ctx, c.plan, apply.Options{})
	}
	for _, one := range c.ends {
		if failed := er.keep.RemoveSteps(ctx, one); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	if err != nil && len(c.off) > 0 {
		return er.wishes.End(c.project, err, wish.Spared(er.keep.LetRunOn(c.ends)))
	}
	if len(c.wished) == 0 {
		return er.wishes.End(c.project, err, nil)
	}
	list := slices.DeleteFunc(slices.Clone(c.members.List), func(one *inventory.Container) bool {
		return one.OneOff || one.Spare || !c.wished[one.Replica()] || err != nil && !er.keep.RunsOn(one)
	})
	maps.Copy(ran, do.Started())
	return er.wishes.End(c.project, err, func(r *wish.Record) {
		called := er.keep.CalledOff(ran, have, r)
		wish.On(slices.DeleteFunc(inventory.Replicas(list), func(id plan.ID) bool { return called[id] }))(r)
		if err == nil {
			maps.DeleteFunc(leaving, func(id plan.ID, _ plan.Debt) bool { return !c.wished[id] })
			r.Owe(leaving)
		}
	})
}

// ResumeErrand does what is left of an errand that was cut short.
func (er *Errands) ResumeErrand(ctx context.Context, project string, pass *wish.Pass) error {
	var o ask.ServiceOptions
	if err := json.Unmarshal(pass.Options, &o); err != nil {
		return err
	}
	r, err := er.wishes.Of(project)
	if err != nil || r == nil {
		return err
	}
	c, err := er.planErrand(ctx, project, pass.Verb, o, r)
	if err != nil {
		return err
	}
	return er.carryOutErrand(ctx, c, er.errandRunner(c, nil), nil)
}
