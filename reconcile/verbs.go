package reconcile

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// targets is the beginning of every verb on existing containers.
func (e *Engine) targets(ctx context.Context, project string, services []string) (m *inventory.Members, list []*inventory.Container, release func(), err error) {
	release, err = e.loop.Pass(ctx, project)
	if err != nil {
		return nil, nil, nil, err
	}
	if m, err = inventory.ListMembers(ctx, e.drivers, project); err != nil {
		release()
		return nil, nil, nil, err
	}
	return m, m.Of(services), release, nil
}

// Kill sends a signal. SIGKILL (the default) means that somebody wants the container down, so no policy starts it again, as
// with docker; with any other signal the policy decides about what comes of it. With RemoveOrphans, containers of services that the file does not
// have are killed and removed; without, they are left alone.
func (e *Engine) Kill(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	sig, err := parseSignal(o.Signal)
	if err != nil {
		return err
	}
	if sig == unix.SIGKILL && e.loop.Taken(project) {
		if err := e.killAhead(ctx, project, o, sink); err != nil {
			return err
		}
	}
	m, _, release, err := e.targets(ctx, project, o.Services)
	if err != nil {
		return err
	}
	defer release()
	if !o.Known {
		m.TellAbsent(project, o.Services, sink)
	}
	p, err := e.wishes.File(project)
	if err != nil {
		return err
	}
	var list []*inventory.Container // with one-offs, and with orphans only on request: as docker compose has it
	for _, c := range m.List {
		if (len(o.Services) == 0 || slices.Contains(o.Services, c.Service)) && (o.RemoveOrphans || !c.Orphan(p)) {
			list = append(list, c)
		}
	}
	if sig == unix.SIGKILL {
		if err := e.wishes.Change(project, wish.Killed(inventory.Runs(list))); err != nil {
			return err
		}
	}
	err = m.Each(ctx, list, true, func(c *inventory.Container) error {
		if o.RemoveOrphans && c.Orphan(p) {
			return e.keep.KillAndRemove(ctx, c, false, sink)
		}
		if !c.Alive() && (sig != unix.SIGKILL || !e.keep.RunsOn(c)) {
			if sig == unix.SIGKILL && c.Status == runtime.Stopped { // killAhead has been here
				return e.dropOneOff(ctx, c, sink)
			}
			return nil
		}
		if err := e.keep.Kill(ctx, c, sig, sink); inventory.RunsNoMore(err) {
			return nil // it went with its end
		} else if err != nil || sig != unix.SIGKILL {
			return err
		}
		if err := e.keep.FinishKill(ctx, c); err != nil {
			return err
		}
		return e.dropOneOff(ctx, c, sink)
	})
	if sig == unix.SIGKILL {
		return e.keep.Spare(project, list, err)
	}
	return err
}

// dropOneOff removes c, which has been killed, if it is of a run --rm whose caller does not wait for it: a detached one, or one whose caller has gone
// with the daemon. What ends by itself is removed by who sees the end.
func (e *Engine) dropOneOff(ctx context.Context, c *inventory.Container, sink event.Sink) error {
	if !c.OneOff || !c.Remove || e.roster.Held(c.ID) {
		return nil
	}
	return e.keep.Remove(ctx, c, true, sink)
}

// killAhead kills before its turn has come: who holds the project may be waiting for these very containers to stop, and the
// caller (a second Ctrl-C) waits no longer. The turn then finds them ended.
func (e *Engine) killAhead(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	defer e.loop.Enter()()
	p, err := e.wishes.File(project)
	if err != nil {
		return err
	}
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range list {
		if !c.Alive() && !e.keep.RunsOn(c) || len(o.Services) > 0 && !slices.Contains(o.Services, c.Service) || c.Orphan(p) && !o.RemoveOrphans {
			continue
		}
		err := e.wishes.Change(project, wish.Killed(inventory.Runs([]*inventory.Container{c})))
		if err == nil {
			err = e.keep.Kill(ctx, c, unix.SIGKILL, sink)
		}
		if err != nil && !inventory.RunsNoMore(err) { // else it ended by itself
			failed = append(failed, err)
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

// verbRemove is the verb of a removal that stops what runs, as wish.Pass has it.
const verbRemove = "rm"

// Remove deletes stopped containers; with Stop, running ones too: that is carried to its end by the next daemon when this one dies in its midst, so that nothing runs on that nobody wishes for.
func (e *Engine) Remove(ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
	m, list, release, err := e.targets(ctx, project, o.Services)
	if err != nil {
		return err
	}
	defer release()
	if o.Stop {
		if err := e.wishes.Begin(project, verbRemove, o, nil, wish.Off(inventory.Replicas(list))); err != nil {
			return err
		}
		return e.wishes.End(project, e.removeAll(ctx, project, m, list, o, sink), nil)
	}
	// Those that run are left alone, and those that their policy is about to start.
	list = slices.DeleteFunc(list, func(c *inventory.Container) bool { return c.Alive() || e.keep.RunsOn(c) })
	if err := e.wishes.Change(project, wish.Off(inventory.Replicas(list))); err != nil {
		return err
	}
	return e.removeAll(ctx, project, m, list, o, sink)
}

// removeAll removes list, of m. Precondition: it is marked as not wished for.
func (e *Engine) removeAll(ctx context.Context, project string, m *inventory.Members, list []*inventory.Container, o ask.ServiceOptions, sink event.Sink) error {
	p, err := e.wishes.File(project)
	if err == nil {
		err = e.keep.RemoveAll(ctx, m, list, lifecycle.RemoveOptions{Timeout: o.Timeout, Volumes: o.Volumes, File: p}, sink)
	}
	return e.keep.Spare(project, list, err)
}

// resumeRemove does what is left of a Remove with Stop that was cut short. Precondition: the project's turn is held.
func (e *Engine) resumeRemove(ctx context.Context, project string, o ask.ServiceOptions) error {
	m, err := inventory.ListMembers(ctx, e.drivers, project)
	if err != nil {
		return err
	}
	return e.wishes.End(project, e.removeAll(ctx, project, m, m.Of(o.Services), o, nil), nil)
}
