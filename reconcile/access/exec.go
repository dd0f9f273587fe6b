package access

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Exec runs a command in a container of a service: the one that o names, or the replica Index, or the lowest that runs.
func (a *Access) Exec(ctx context.Context, project string, o ask.ExecOptions, io process.IO) (process.Exit, error) {
	defer a.turns.Enter()()
	c, err := a.pick(ctx, project, choice{service: o.Service, index: o.Index, container: o.Container})
	if err != nil {
		return process.Exit{}, err
	}
	exit, err := a.drivers.Containers.Exec(ctx, c.ID, runtime.Process{
		Args: o.Args, Env: o.Env, Cwd: o.Cwd, User: o.User, Terminal: o.TTY, Privileged: o.Privileged, Rows: o.Rows, Cols: o.Cols, Detach: o.Detach,
	}, io)
	if err != nil {
		err = fmt.Errorf("cannot exec in container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return exit, err
}

// pick finds the running container of a service that is meant.
func (a *Access) pick(ctx context.Context, project string, which choice) (*inventory.Container, error) {
	list, err := inventory.ListService(ctx, a.drivers, project, which.service)
	if err != nil {
		return nil, err
	}
	var stopped *inventory.Container
	for _, c := range list {
		if c.Service != which.service || c.OneOff || !which.has(c) {
			continue
		}
		if c.Status == runtime.Running {
			return c, nil
		}
		if stopped == nil {
			stopped = c
		}
	}
	switch {
	case stopped != nil && stopped.Status == runtime.Paused:
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is paused: `stack unpause %s` lets container %s go on", which, which.service, stopped.Name))
	case stopped == nil:
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("%s of project %s has no container", which, project))
	case stopped.Exit != nil:
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is not running: container %s is %s (code %d); see `stack logs %s`", which, stopped.Name, inventory.StateWord(stopped, a.keep.StatusOf(stopped)), stopped.Exit.Code, which.service))
	}
	return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is not running: container %s is %s; start it with `stack up`", which, stopped.Name, inventory.StateWord(stopped, a.keep.StatusOf(stopped))))
}
