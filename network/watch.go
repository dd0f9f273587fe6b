package network

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
)

// Watch delivers a coalesced hint when something of the networks may have been changed by other hands, and by the Driver too: the
// receiver looks at List and Sandboxes. The channel is closed when ctx ends. ErrNotSupported when this process may not hear of
// containers, or the user has no inotify instance left; List and Sandboxes say what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	err := d.alarm.files.Blind()
	if err == nil && d.alarm.deaf {
		err = errors.New("it takes the capability CAP_NET_BROADCAST to hear of containers")
	}
	if err != nil {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot watch the networks: %w", err))
	}
	return d.hints.Subscribe(ctx), nil
}
