package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// users are containers that have some volumes.
type users struct {
	project string
	list    []*inventory.Container
}

// usersOf are the containers, of any project or none and of any state, that have one of the volumes ids, by whichever way: named, anonymous, by volumes_from, by the
// path on the host.
func (e *Engine) usersOf(ctx context.Context, ids []string) ([]*inventory.Container, error) {
	have, err := e.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var paths []string
	for _, s := range have {
		if slices.Contains(ids, s.Config.ID) {
			paths = append(paths, s.Path)
		}
	}
	list, err := inventory.List(ctx, e.drivers, "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c *inventory.Container) bool {
		return c.Config == nil || !slices.ContainsFunc(paths, func(path string) bool {
			for _, m := range c.Config.Mounts {
				if m.Source == path || strings.HasPrefix(m.Source, path+"/") {
					return true
				}
			}
			return false
		})
	}), nil
}

// activeUsers are those of usersOf that run, are paused, or are about to be started by their policy.
func (e *Engine) activeUsers(ctx context.Context, project string, ids []string) (users, error) {
	list, err := e.usersOf(ctx, ids)
	return users{project, slices.DeleteFunc(list, func(c *inventory.Container) bool {
		return !c.Alive() && e.keep.StatusOf(c).State != supervise.Backoff
	})}, err
}

func (u users) names() string {
	var names []string
	for _, c := range u.list {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// services are those that u's containers are of, sorted.
func (u users) services() []string {
	var names []string
	for _, c := range u.list {
		names = append(names, c.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuseOthers is for who is to stop them: those that are of another project, of none, or of run are nobody's to stop and start.
func (u users) refuseOthers(cannot string) error {
	var names []string
	for _, c := range u.list {
		if c.Alone != nil || c.Project != u.project || c.OneOff {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s: %s runs and has one of them, and is of another project, of none, or of run; stop it first", cannot, strings.Join(names, ", ")))
}

// lockUsers keeps the containers that have one of ids from being started, stopped or removed. In one order, so that two of these do not wait for each other.
func (e *Engine) lockUsers(ctx context.Context, ids []string) (list []*inventory.Container, unlock func(), err error) {
	var held []func()
	unlock = func() {
		for _, free := range slices.Backward(held) {
			free()
		}
	}
	list, err = e.usersOf(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(list, func(a, b *inventory.Container) int { return strings.Compare(a.ID, b.ID) })
	for _, c := range list {
		free, err := e.keep.Locks.Lock(ctx, c.ID)
		if err != nil {
			unlock()
			return nil, nil, err
		}
		held = append(held, free)
	}
	return list, unlock, nil
}

// whilePaused calls do while every container that has one of ids stands still. That they go on is on record before they stand still.
func (e *Engine) whilePaused(ctx context.Context, ids []string, do func(context.Context) error) error {
	list, unlock, err := e.lockUsers(ctx, ids)
	if err != nil {
		return err
	}
	defer unlock()
	for _, c := range list {
		state, err := e.drivers.Containers.State(ctx, c.ID)
		if errors.Is(err, errdefs.ErrNotFound) || err == nil && state.Status != runtime.Running {
			continue // it has gone, does not run, or stands still already
		}
		if err != nil {
			return err
		}
		resume, err := e.keep.PauseBriefly(ctx, c.ID)
		if errors.Is(err, errdefs.ErrConflict) {
			continue // it has ended
		}
		if err != nil {
			return fmt.Errorf("cannot pause container %s: %w", c.Name, err)
		}
		defer resume()
	}
	return do(ctx)
}

// whileNothingStarts calls do while no container that has one of ids can be started. ErrConflict when one runs.
func (e *Engine) whileNothingStarts(ctx context.Context, ids []string, do func() error) error {
	list, unlock, err := e.lockUsers(ctx, ids)
	if err != nil {
		return err
	}
	defer unlock()
	for _, c := range list {
		state, err := e.drivers.Containers.State(ctx, c.ID)
		if err == nil && (state.Status == runtime.Running || state.Status == runtime.Paused) {
			err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s, which has one of the volumes, was started meanwhile", c.Name))
		}
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
	}
	return do()
}

// verbVolumes is the verb of a command on volumes for which containers are stopped, as wish.Pass has it.
const verbVolumes = "volumes"

// stopped is the record of such a command: what the next daemon needs to carry it to its end.
type stopped struct {
	Services []string       // whose containers are stopped
	Timeout  *time.Duration // of the stops
	Snapshot string         // the volumes are to be restored from it; "" = they are only read, which is not done again
	Volumes  []string
	Done     bool // what they were stopped for is done
}

// whileStopped stops the containers of o's services that are active, dependents first, calls do, and starts those again, what they depend on first. Whatever becomes of
// do they are started. From before the first stop on the record says that they are owed. Precondition: the project's turn is held.
func (e *Engine) whileStopped(ctx context.Context, project string, o stopped, sink event.Sink, do func(context.Context) error) error {
	m, err := inventory.ListMembers(ctx, e.drivers, project)
	if err != nil {
		return err
	}
	owed := map[plan.ID]bool{}
	for _, c := range m.List {
		if !c.OneOff && slices.Contains(o.Services, c.Service) && (c.Alive() || e.keep.StatusOf(c).State == supervise.Backoff) {
			owed[c.Replica()] = true
		}
	}
	if err := e.wishes.Begin(project, verbVolumes, o, func(r *wish.Record) {
		for id := range owed {
			r.Owed[id] = true
		}
	}); err != nil {
		return err
	}
	return e.carryOutStopped(ctx, project, o, owed, sink, do)
}

// carryOutStopped is whileStopped once it is on record.
func (e *Engine) carryOutStopped(ctx context.Context, project string, o stopped, owed map[plan.ID]bool, sink event.Sink, do func(context.Context) error) error {
	c, err := e.stoppedErrand(ctx, project)
	if err != nil {
		return e.wishes.End(project, err, nil)
	}
	deps := c.members.DependsOn(c.file)
	c.plan = plan.BuildStop(project, e.present(c.members), plan.StopOptions{DependsOn: deps, Services: o.Services, Timeout: o.Timeout})
	if !o.Done {
		if err = e.apply(ctx, e.errandRunner(c, sink), c.plan, apply.Options{}); err == nil {
			err = do(ctx)
		}
		if err == nil { // a daemon that comes now does not do it again to what has been written since
			o.Done = true
			err = e.notePass(project, o)
		}
	}
	// Also for a caller who has gone: they were stopped for this.
	ctx = context.WithoutCancel(ctx)
	again, failed := e.stoppedErrand(ctx, project)
	if failed == nil {
		again.wished = owed
		again.plan = plan.BuildRestart(project, commanded(e.present(again.members), again.members), plan.RestartOptions{DependsOn: again.members.DependsOn(again.file), Services: []string{""}, Resume: true, Owed: owed})
		failed = e.carryOutErrand(ctx, again, e.errandRunner(again, sink))
	} else {
		failed = e.wishes.End(project, failed, nil)
	}
	return errors.Join(err, failed)
}

// stoppedErrand is an errand without its plan.
func (e *Engine) stoppedErrand(ctx context.Context, project string) (*errand, error) {
	m, err := inventory.ListMembers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	c := &errand{project: project, members: m, wished: map[plan.ID]bool{}}
	c.file, err = e.wishes.File(project)
	return c, err
}

// notePass records how far a command on volumes has come.
func (e *Engine) notePass(project string, o stopped) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	return e.wishes.Change(project, func(r *wish.Record) {
		if r.Pass != nil {
			r.Pass = &wish.Pass{Verb: verbVolumes, Options: raw}
		}
	})
}

// resumeVolumes carries a command on volumes to its end that a daemon did not live to end: a restore is done, and what was stopped is started. A snapshot is not made
// again: who asked for it has seen it fail.
func (e *Engine) resumeVolumes(ctx context.Context, project string, options json.RawMessage) error {
	var o stopped
	if err := json.Unmarshal(options, &o); err != nil {
		return err
	}
	r, err := e.wishes.Of(project)
	if err != nil || r == nil {
		return err
	}
	owed := map[plan.ID]bool{}
	for id := range r.Owed {
		if slices.Contains(o.Services, id.Name) {
			owed[id] = true
		}
	}
	if o.Snapshot == "" {
		o.Done = true
	}
	ctx = context.WithoutCancel(ctx) // whoever wants the project's turn now waits: nobody else will do it
	return e.carryOutStopped(ctx, project, o, owed, nil, func(ctx context.Context) error {
		return e.restore(ctx, project, o.Snapshot, o.Volumes, nil)
	})
}
