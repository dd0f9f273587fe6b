package runtime

import "context"

// Watch delivers a coalesced hint when something of the containers may have been changed by other hands: the receiver looks at the Problem of
// each in List. The channel is closed when ctx ends or the Driver is closed. Starts and exits are Events.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) {
	return d.hints.Subscribe(ctx), nil
}
