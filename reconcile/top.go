package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
)

// Top lists the processes of project's containers that run or are paused, one-offs too, by the container's name. One that ends meanwhile is left out.
func (e *Engine) Top(ctx context.Context, project string) ([]ask.ContainerProcesses, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c *container) bool { return !c.alive() })
	rows, err := lookAtEach(ctx, list, func(ctx context.Context, c *container) (ask.ContainerProcesses, error) {
		row := ask.ContainerProcesses{Container: c.rowName(), Service: c.service, Replica: c.number}
		var err error
		if row.Processes, err = e.drivers.Containers.Processes(ctx, c.ID); err != nil && !runsNoMore(err) {
			return row, fmt.Errorf("cannot list the processes of container %s: %w", c.name, cause(err, c.ID, c.name))
		}
		return row, nil
	})
	return slices.DeleteFunc(rows, func(r ask.ContainerProcesses) bool { return len(r.Processes) == 0 }), err
}

// runsNoMore is the error of a look at a container that does not run any more.
func runsNoMore(err error) bool {
	return errors.Is(err, errdefs.ErrConflict) || errors.Is(err, errdefs.ErrNotFound)
}

// looksAtOnce bounds how many containers are looked at side by side: each look is some reads of files that the kernel makes up.
const looksAtOnce = 8

// lookAtEach gathers what look says of each of list, by name.
func lookAtEach[R any](ctx context.Context, list []*container, look func(context.Context, *container) (R, error)) ([]R, error) {
	slices.SortStableFunc(list, func(a, b *container) int { return strings.Compare(a.rowName(), b.rowName()) })
	rows := make([]R, len(list))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(looksAtOnce)
	for i, c := range list {
		work.Go(func() (err error) {
			rows[i], err = look(ctx, c)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return rows, nil
}
