package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// members are the containers of a project and the order of their services, read from labels: no file is needed.
type members struct {
	list []*container
	deps *graph.Graph[string]
	edge map[[2]string]plan.Dependency // {dependent, dependency}
}

func (e *Engine) members(ctx context.Context, project string) (*members, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	return membersOf(list), nil
}

func membersOf(list []*container) *members {
	m := &members{list: list, deps: graph.New(strings.Compare), edge: map[[2]string]plan.Dependency{}}
	for _, c := range list {
		m.deps.Add(c.service)
		for part := range strings.SplitSeq(c.Labels[label.DependsOn], ",") {
			// svc:condition:restart, as docker compose writes it.
			f := strings.Split(part, ":")
			if len(f) != 3 {
				continue
			}
			m.deps.Connect(c.service, f[0])
			m.edge[[2]string{c.service, f[0]}] = plan.Dependency{Condition: plan.Condition(f[1]), Restart: f[2] == "true", Required: true}
		}
	}
	return m
}

// of are the lasting containers of services, all when that is empty. A service without a container is ErrNotFound.
func (m *members) of(project string, services []string) ([]*container, error) {
	var found []*container
	for _, c := range m.list {
		if !c.oneOff && (len(services) == 0 || slices.Contains(services, c.service)) {
			found = append(found, c)
		}
	}
	for _, s := range services {
		if !slices.ContainsFunc(m.list, func(c *container) bool { return c.service == s }) {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("service %q of project %s has no container", s, project))
		}
	}
	return found, nil
}

// each calls do for every container, side by side but for the order of services: backwards, dependents first; else what
// they depend on first. All are tried whatever fails.
func (m *members) each(ctx context.Context, list []*container, backwards bool, do func(*container) error) error {
	order, err := m.deps.Order()
	if err != nil {
		order = m.deps.Nodes() // labels of another program's making; better in any order than not at all
	}
	byService := map[string][]*container{}
	for _, c := range list {
		byService[c.service] = append(byService[c.service], c)
	}
	ended := map[string]chan struct{}{}
	for _, s := range order {
		ended[s] = make(chan struct{})
	}
	errs := make(chan error, len(list))
	for _, s := range order {
		before := m.deps.Needs(s)
		if backwards {
			before = m.deps.Users(s)
		}
		go func() {
			defer close(ended[s])
			if err == nil {
				for _, b := range before {
					<-ended[b]
				}
			}
			var work errgroup.Group
			for _, c := range byService[s] {
				work.Go(func() error {
					if ctx.Err() != nil {
						errs <- context.Cause(ctx)
					} else if err := do(c); err != nil {
						errs <- err
					}
					return nil
				})
			}
			_ = work.Wait() // its functions return nil
		}()
	}
	for _, s := range order {
		<-ended[s]
	}
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(all...)
}

// targets is the beginning of every verb on existing containers.
func (e *Engine) targets(ctx context.Context, project string, services []string) (m *members, list []*container, release func(), err error) {
	release, err = e.pass(ctx, project)
	if err != nil {
		return nil, nil, nil, err
	}
	if m, err = e.members(ctx, project); err == nil {
		list, err = m.of(project, services)
	}
	if err != nil {
		release()
		return nil, nil, nil, err
	}
	return m, list, release, nil
}

// Stop stops containers, dependents before what they depend on. They stay stopped until somebody starts them.
func (e *Engine) Stop(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return e.errand(ctx, project, "stop", o, sink)
}

// Start starts containers that exist, what they depend on first and ready. Those that it has started are wished for from then on.
func (e *Engine) Start(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	return e.errand(ctx, project, "start", o, sink)
}

// killOrphan kills a container whose service is not in the file, and removes it.
func (e *Engine) killOrphan(ctx context.Context, c *container, sink event.Sink) error {
	if c.alive() {
		zero := time.Duration(0)
		if err := e.stopOnly(ctx, c, &zero, sink); err != nil {
			return err
		}
	}
	return e.remove(ctx, c, false, sink)
}

// Kill sends a signal. SIGKILL (the default) means that somebody wants the container down, so no policy starts it again, as
// with docker; with any other signal the policy decides about what comes of it. With RemoveOrphans, containers of services that the file does not
// have are killed and removed; without, they are left alone.
func (e *Engine) Kill(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	sig, err := parseSignal(o.Signal)
	if err != nil {
		return err
	}
	if sig == unix.SIGKILL && e.passes.keys.Taken(project) {
		if err := e.killAhead(ctx, project, o, sink); err != nil {
			return err
		}
	}
	m, _, release, err := e.targets(ctx, project, o.Services)
	if err != nil {
		return err
	}
	defer release()
	p, err := e.desired(project)
	if err != nil {
		return err
	}
	var list []*container // with one-offs, and with orphans only on request: as docker compose has it
	for _, c := range m.list {
		if (len(o.Services) == 0 || slices.Contains(o.Services, c.service)) && (o.RemoveOrphans || !c.orphan(p)) {
			list = append(list, c)
		}
	}
	if sig == unix.SIGKILL {
		if err := e.changeWish(project, off(list)); err != nil {
			return err
		}
	}
	return m.each(ctx, list, true, func(c *container) error {
		if o.RemoveOrphans && c.orphan(p) {
			return e.killOrphan(ctx, c, sink)
		}
		if !c.alive() {
			if sig == unix.SIGKILL && c.Status == runtime.Stopped { // killAhead has been here
				return e.dropOneOff(ctx, c, sink)
			}
			return nil
		}
		say := func(phase event.Phase, text, detail string) {
			e.say(sink, event.Event{Project: project, Kind: "container", Name: c.name, ID: c.ID, Service: c.service, Phase: phase, Text: text, Detail: detail, Signal: unix.SignalName(sig)})
		}
		say(event.Working, "Killing", "")
		if sig == unix.SIGKILL {
			zero := time.Duration(0)
			if err := e.stopOnly(ctx, c, &zero, nil); err != nil {
				return err
			}
			say(event.Done, "Killed", "")
			return e.dropOneOff(ctx, c, sink)
		}
		if err := e.drivers.Containers.Kill(ctx, c.ID, sig); err != nil {
			err = fmt.Errorf("cannot send %s to container %s: %w", unix.SignalName(sig), c.name, cause(err, c.ID, c.name))
			say(event.Failed, "Error", err.Error())
			return err
		}
		say(event.Done, "Killed", "")
		return nil
	})
}

// dropOneOff removes c, which has been killed, if it is of a run --rm whose caller does not wait for it: a detached one, or one whose caller has gone
// with the daemon. What ends by itself is removed by who sees the end.
func (e *Engine) dropOneOff(ctx context.Context, c *container, sink event.Sink) error {
	if !c.oneOff || !c.remove || e.held(c.ID) {
		return nil
	}
	return e.remove(ctx, c, true, sink)
}

// killAhead kills before its turn has come: who holds the project may be waiting for these very containers to stop, and the
// caller (a second Ctrl-C) waits no longer. The turn then finds them ended.
func (e *Engine) killAhead(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	defer e.enter()()
	p, err := e.desired(project)
	if err != nil {
		return err
	}
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range list {
		if !c.alive() || len(o.Services) > 0 && !slices.Contains(o.Services, c.service) || c.orphan(p) && !o.RemoveOrphans {
			continue
		}
		err := e.changeWish(project, off([]*container{c}))
		if err == nil {
			e.group.Stop(c.ID)
			err = e.drivers.Containers.Kill(ctx, c.ID, unix.SIGKILL)
		}
		switch {
		case errors.Is(err, errdefs.ErrNotFound), errors.Is(err, errdefs.ErrConflict): // it ended by itself
		case err != nil:
			failed = append(failed, fmt.Errorf("cannot kill container %s: %w", c.name, cause(err, c.ID, c.name)))
		default:
			e.say(sink, event.Event{Project: project, Kind: "container", Name: c.name, ID: c.ID, Service: c.service, Phase: event.Done, Text: "Killed", Signal: "SIGKILL"})
		}
	}
	return errors.Join(failed...)
}

// parseSignal reads o.Signal of a kill. "" is SIGKILL.
func parseSignal(s string) (unix.Signal, error) {
	if s == "" {
		return unix.SIGKILL, nil
	}
	return signals.Parse(s)
}

// Remove deletes stopped containers; with Stop, running ones too.
func (e *Engine) Remove(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	m, list, release, err := e.targets(ctx, project, o.Services)
	if err != nil {
		return err
	}
	defer release()
	if !o.Stop { // those that run are left alone
		list = slices.DeleteFunc(list, func(c *container) bool { return c.alive() })
	}
	if err := e.changeWish(project, off(list)); err != nil {
		return err
	}
	return m.each(ctx, list, true, func(c *container) error {
		if c.alive() {
			if err := e.stop(ctx, c, o.Timeout, sink); err != nil {
				return err
			}
		}
		return e.remove(ctx, c, o.Volumes, sink)
	})
}
