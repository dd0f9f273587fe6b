package runtime

import (
	"context"

	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/supervision"
)

// Start starts a created or stopped container and returns when execve succeeded, or with a *StartError that says which
// stage failed; then that is on record as the container's exit and nothing is left running. A container that
// runs already is success. When ctx ends first the start is undone, and its error returned, unless the program may have begun: that it is not ended for
// it, or whoever starts the container next would have it run twice. One that has ended by then has its exit on record.
func (d *Driver) Start(ctx context.Context, id string) (container.State, error) {
	unlock, c, l, err := d.runs.Door(ctx, id)
	if err != nil {
		return container.State{}, err
	}
	defer unlock()
	if l != nil {
		return d.state(id, c, guard.Mark{})
	}
	st, _, err := d.runs.Launch(ctx, c, supervision.LaunchOptions{})
	return st, err
}
