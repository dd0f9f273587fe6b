package fake

import (
	"context"
	"time"

	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Usage grows with the time that the container has run: a tenth of a processor, a KiB a second both ways.
func (c *containers) Usage(ctx context.Context, id string) (process.Usage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return process.Usage{}, err
	}
	if x.status != runtime.Running {
		return process.Usage{}, conflict("container %.12s is not running", id)
	}
	ran := time.Since(x.started)
	bytes := uint64(ran.Seconds()) << 10
	return process.Usage{Clock: time.Duration(time.Now().UnixNano()), CPU: ran / 10, Memory: 2 << 20, InactiveCache: 1 << 20, MemoryLimit: 1 << 30, Pids: 1, Received: bytes, Sent: bytes}, nil
}

// Processes is the container's init, alone.
func (c *containers) Processes(ctx context.Context, id string) ([]process.Info, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if x.status != runtime.Running {
		return nil, conflict("container %.12s is not running", id)
	}
	p := process.Info{Pid: x.pid, PPid: 1, State: "S", StartedAt: x.started}
	if x.cfg.Spec != nil && x.cfg.Spec.Process != nil && len(x.cfg.Spec.Process.Args) > 0 {
		p.Args = x.cfg.Spec.Process.Args
		p.Name = p.Args[0]
	}
	return []process.Info{p}, nil
}

// Listening is nothing: no program runs.
func (c *containers) Listening(ctx context.Context, id string) ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return nil, err
	}
	if x.status != runtime.Running {
		return nil, conflict("container %.12s is not running", id)
	}
	return nil, nil
}
