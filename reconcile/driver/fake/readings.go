package fake

import (
	"context"

	"github.com/stackrun/stack/runtime"
)

// Processes is the container's init, alone.
func (c *containers) Processes(ctx context.Context, id string) ([]runtime.ProcessInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if x.status != runtime.Running {
		return nil, conflict("container %.12s is not running", id)
	}
	p := runtime.ProcessInfo{Pid: x.pid, PPid: 1, State: "S", StartedAt: x.started}
	if x.cfg.Spec != nil && x.cfg.Spec.Process != nil && len(x.cfg.Spec.Process.Args) > 0 {
		p.Args = x.cfg.Spec.Process.Args
		p.Name = p.Args[0]
	}
	return []runtime.ProcessInfo{p}, nil
}
