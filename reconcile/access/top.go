package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// Top lists the processes of project's containers that run or are paused, one-offs too, by the container's name. One that ends meanwhile is left out.
func (a *Access) Top(ctx context.Context, project string) ([]ask.ContainerProcesses, error) {
	list, err := inventory.List(ctx, a.drivers, project)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c *inventory.Container) bool { return !c.Alive() })
	rows, err := lookAtEach(ctx, list, func(ctx context.Context, c *inventory.Container) (ask.ContainerProcesses, error) {
		row := ask.ContainerProcesses{Container: c.RowName(), Service: c.Service, Replica: c.Number}
		var err error
		if row.Processes, err = a.drivers.Containers.Processes(ctx, c.ID); err != nil && !inventory.RunsNoMore(err) {
			return row, fmt.Errorf("cannot list the processes of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		}
		return row, nil
	})
	return slices.DeleteFunc(rows, func(r ask.ContainerProcesses) bool { return len(r.Processes) == 0 }), err
}

// looksAtOnce bounds how many containers are looked at side by side: each look is some reads of files that the kernel makes up.
const looksAtOnce = 8

// lookAtEach gathers what look says of each of list, by name.
func lookAtEach[R any](ctx context.Context, list []*inventory.Container, look func(context.Context, *inventory.Container) (R, error)) ([]R, error) {
	slices.SortStableFunc(list, func(a, b *inventory.Container) int { return strings.Compare(a.RowName(), b.RowName()) })
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
