package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
)

// ContainerProcesses is what runs in one container.
type ContainerProcesses struct {
	Container string                `json:"container"`
	Service   string                `json:"service"`
	Replica   int                   `json:"replica"`
	Processes []runtime.ProcessInfo `json:"processes"`
}

// Top lists the processes of project's containers that run or are paused, one-offs too, by the container's name.
func (e *Engine) Top(ctx context.Context, project string) ([]ContainerProcesses, error) {
	return eachAlive(ctx, e, project, "list the processes of", func(ctx context.Context, c *container) (ContainerProcesses, error) {
		row := ContainerProcesses{Container: c.rowName(), Service: c.service, Replica: c.number}
		var err error
		row.Processes, err = e.drivers.Containers.Processes(ctx, c.ID)
		return row, err
	})
}

// readsAtOnce bounds how many containers are looked at side by side: each look is some reads of files that the kernel makes up.
const readsAtOnce = 8

// eachAlive gathers what look says of each container of project that has processes, by name. One that ends meanwhile is left out. verb is for the error.
func eachAlive[R any](ctx context.Context, e *Engine, project, verb string, look func(context.Context, *container) (R, error)) ([]R, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c *container) bool { return !c.alive() })
	slices.SortStableFunc(list, func(a, b *container) int { return strings.Compare(a.rowName(), b.rowName()) })
	rows, ended := make([]R, len(list)), make([]bool, len(list))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(readsAtOnce)
	for i, c := range list {
		work.Go(func() (err error) {
			rows[i], err = look(ctx, c)
			if errors.Is(err, errdefs.ErrConflict) || errors.Is(err, errdefs.ErrNotFound) {
				ended[i], err = true, nil
			}
			if err != nil {
				return fmt.Errorf("cannot %s container %s: %w", verb, c.name, cause(err, c.ID, c.name))
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	out := make([]R, 0, len(rows))
	for i, row := range rows {
		if !ended[i] {
			out = append(out, row)
		}
	}
	return out, nil
}
