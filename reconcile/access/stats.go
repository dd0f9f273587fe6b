package access

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// Stats reads, once, what project's containers of every state use, one-offs too, by name. Nothing is read while nobody asks.
func (a *Access) Stats(ctx context.Context, project string) ([]ask.ContainerStats, error) {
	list, err := inventory.List(ctx, a.drivers, project)
	if err != nil {
		return nil, err
	}
	return lookAtEach(ctx, list, func(ctx context.Context, c *inventory.Container) (ask.ContainerStats, error) {
		row := ask.ContainerStats{ID: c.ID, Container: c.RowName(), Service: c.Service}
		if !c.Alive() {
			return row, nil
		}
		u, err := a.drivers.Containers.Usage(ctx, c.ID)
		switch {
		case err == nil:
			row.Usage = &u
		case !inventory.RunsNoMore(err):
			return row, fmt.Errorf("cannot read what container %s uses: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		}
		return row, nil
	})
}
