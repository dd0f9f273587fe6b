package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/event"
)

// Watch delivers a coalesced hint when something of the containers may have been changed by other hands: the receiver looks at the Problem of
// each in List. The channel is closed when ctx ends or the Driver is closed. Starts and exits are Events. ErrNotSupported when the
// user has no inotify instance left; List says what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := d.guard.files.Blind(); err != nil {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot watch the containers: %w", err))
	}
	return d.hints.Subscribe(ctx), nil
}

// Events delivers state changes until ctx ends, then the channel is closed. A slow receiver loses
// events, never the latest of a container.
func (d *Driver) Events(ctx context.Context) <-chan event.Event { return d.hub.Subscribe(ctx) }
