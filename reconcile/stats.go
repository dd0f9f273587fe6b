package reconcile

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/reconcile/ask"
)

// Stats reads, once, what project's containers of every state use, one-offs too, by name. Nothing is read while nobody asks.
func (e *Engine) Stats(ctx context.Context, project string) ([]ask.ContainerStats, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	return lookAtEach(ctx, list, func(ctx context.Context, c *container) (ask.ContainerStats, error) {
		row := ask.ContainerStats{ID: c.ID, Container: c.rowName(), Service: c.service}
		if !c.alive() {
			return row, nil
		}
		u, err := e.drivers.Containers.Usage(ctx, c.ID)
		switch {
		case err == nil:
			row.Usage = &u
		case !runsNoMore(err):
			return row, fmt.Errorf("cannot read what container %s uses: %w", c.name, cause(err, c.ID, c.name))
		}
		return row, nil
	})
}
