package network

import "context"

// Watch delivers a coalesced hint when something of the networks may have been changed by other hands, and by the Driver too: the
// receiver looks at List and Sandboxes. The channel is closed when ctx ends.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	return d.hints.Subscribe(ctx), nil
}
