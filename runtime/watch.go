package runtime

import (
	"context"

	"github.com/stackrun/stack/runtime/event"
)

// Watch delivers a coalesced hint when something of the containers may have been changed by other hands: the receiver looks at the Problem of
// each in List. The channel is closed when ctx ends or the Driver is closed. Starts and exits are Events. ErrNotSupported when the
// user has no inotify instance left; List says what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) { return d.guard.Watch(ctx) }

// Events delivers state changes until ctx ends, then the channel is closed. A slow receiver loses
// events, never the latest of a container.
func (d *Driver) Events(ctx context.Context) <-chan event.Event { return d.events.Subscribe(ctx) }
