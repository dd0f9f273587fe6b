package network

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
)

// Mend repairs the sandbox of a running container in place: the container keeps its processes and its addresses. c is what Setup was given.
// nsPath is a /proc/PID/ns/net that the caller knows to be the container's; from it the file of the namespace is bound again where that is
// gone. The networks must be whole: Create mends them. ErrConflict when the sandbox was set up with another configuration.
func (d *Driver) Mend(ctx context.Context, c SandboxConfig, nsPath string) (Sandbox, error) {
	if err := checkSandbox(c); err != nil {
		return Sandbox{}, err
	}
	defer d.objects.lock("sandbox " + c.ContainerID)()
	d.mu.Lock()
	s := d.sandboxes[c.ContainerID]
	d.mu.Unlock()
	if s == nil {
		return Sandbox{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot mend the network of %s: it has none", sandboxRecord{Config: c}.name()))
	}
	if !sameSandbox(s.rec.Config, c) {
		return Sandbox{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot mend the network of %s: it was set up with another configuration", s.rec.name()))
	}
	if err := d.fw.AddForwards(d.forwards(s)); err != nil {
		return Sandbox{}, err
	}
	return d.sandboxState(s, d.look()), nil
}
