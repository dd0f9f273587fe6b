package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/errand"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
)

// users are containers that have some volumes.
type users struct {
	project string
	list    []*inventory.Container
}

// pathsOf are the directories of those of the volumes ids that there are.
func (a *Archive) pathsOf(ctx context.Context, ids []string) ([]string, error) {
	have, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var paths []string
	for _, s := range have {
		if slices.Contains(ids, s.Config.ID) {
			paths = append(paths, s.Path)
		}
	}
	return paths, nil
}

// usersOf are the containers, of any project or none and of any state, that have one of the volumes ids, by whichever way: named, anonymous, by volumes_from, by the
// path on the host.
func (a *Archive) usersOf(ctx context.Context, ids []string) ([]*inventory.Container, error) {
	paths, err := a.pathsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	list, err := inventory.List(ctx, a.drivers, "")
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
func (a *Archive) activeUsers(ctx context.Context, project string, ids []string) (users, error) {
	list, err := a.usersOf(ctx, ids)
	return users{project, slices.DeleteFunc(list, func(c *inventory.Container) bool {
		return !c.Alive() && a.keep.StatusOf(c).State != supervise.Backoff
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

// lockUsers keeps the containers that have one of ids from being started, stopped or removed, and those that other projects make meanwhile from being started.
func (a *Archive) lockUsers(ctx context.Context, ids []string) (list []*inventory.Container, unlock func(), err error) {
	for {
		list, unlock, err := a.lockThose(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		now, err := a.usersOf(ctx, ids)
		if err == nil && !slices.ContainsFunc(now, func(c *inventory.Container) bool {
			return !slices.ContainsFunc(list, func(l *inventory.Container) bool { return l.ID == c.ID })
		}) {
			return list, unlock, nil
		}
		unlock() // one has come in between
		if err != nil {
			return nil, nil, err
		}
	}
}

// lockThose is lockUsers of the containers that there are now. Their locks come first, and in one order: so two of these do not wait for each other, and nobody who has
// the lock of a container and waits for its volumes is waited for.
func (a *Archive) lockThose(ctx context.Context, ids []string) (list []*inventory.Container, unlock func(), err error) {
	var held []func()
	unlock = func() {
		for _, free := range slices.Backward(held) {
			free()
		}
	}
	list, err = a.usersOf(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(list, func(a, b *inventory.Container) int { return strings.Compare(a.ID, b.ID) })
	for _, c := range list {
		free, err := a.keep.Locks.Lock(ctx, c.ID)
		if err != nil {
			unlock()
			return nil, nil, err
		}
		held = append(held, free)
	}
	paths, err := a.pathsOf(ctx, ids)
	if err == nil {
		var release func()
		if release, err = a.keep.Mounted.Hold(ctx, paths); err == nil {
			held = append(held, release)
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return list, unlock, nil
}

// whilePaused calls do while every container that has one of ids stands still. That they go on is on record before they stand still.
func (a *Archive) whilePaused(ctx context.Context, ids []string, do func(context.Context) error) error {
	list, unlock, err := a.lockUsers(ctx, ids)
	if err != nil {
		return err
	}
	defer unlock()
	for _, c := range list {
		state, err := a.drivers.Containers.State(ctx, c.ID)
		if errors.Is(err, errdefs.ErrNotFound) || err == nil && state.Status != runtime.Running {
			continue // it has gone, does not run, or stands still already
		}
		if err != nil {
			return err
		}
		resume, err := a.keep.PauseBriefly(ctx, c.ID)
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
func (a *Archive) whileNothingStarts(ctx context.Context, ids []string, do func() error) error {
	list, unlock, err := a.lockUsers(ctx, ids)
	if err != nil {
		return err
	}
	defer unlock()
	for _, c := range list {
		state, err := a.drivers.Containers.State(ctx, c.ID)
		if err == nil && (state.Status == runtime.Running || state.Status == runtime.Paused) {
			err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s, which has one of the volumes, was started meanwhile", c.Name))
		}
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
	}
	return do()
}

// ResumeVolumes carries a command on volumes to its end that a daemon did not live to end: a restore is done, and what was stopped is started. A snapshot is not made
// again: who asked for it has seen it fail.
func (a *Archive) ResumeVolumes(ctx context.Context, project string, options json.RawMessage) error {
	var o errand.Stopped
	if err := json.Unmarshal(options, &o); err != nil {
		return err
	}
	r, err := a.wishes.Of(project)
	if err != nil || r == nil {
		return err
	}
	owed := maps.Clone(r.Owed())
	maps.DeleteFunc(owed, func(id plan.ID, _ plan.Debt) bool { return !slices.Contains(o.Services, id.Name) })
	if o.Snapshot == "" {
		o.Done = true
	}
	ctx = context.WithoutCancel(ctx) // whoever wants the project's turn now waits: nobody else will do it
	return a.errands.CarryOutStopped(ctx, project, o, owed, nil, func(ctx context.Context) error {
		return a.restore(ctx, project, o.Snapshot, o.Volumes, nil)
	})
}
