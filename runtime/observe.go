package runtime

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/procfs"
)

// Processes lists the processes of a running container, those of its execs too, by pid. One that ends meanwhile is left out.
func (d *Driver) Processes(ctx context.Context, id string) ([]process.Info, error) {
	if _, err := d.records.Config(id); err != nil {
		return nil, err
	}
	if _, err := d.runs.Running(ctx, id, "list the processes of"); err != nil {
		return nil, err
	}
	pids, err := d.cgroups.Processes(id)
	if err != nil {
		return nil, err
	}
	all, err := procfs.Processes(pids)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes of container %.12s: %w", id, err)
	}
	return all, nil
}

// Listening lists the TCP ports that are listened on in the network namespace of a running container, ascending, at addresses that others can
// reach: what listens at a loopback address alone is the container's own affair.
func (d *Driver) Listening(ctx context.Context, id string) ([]int, error) {
	if _, err := d.records.Config(id); err != nil {
		return nil, err
	}
	l, err := d.runs.Running(ctx, id, "list the ports of")
	if err != nil {
		return nil, err
	}
	ports, err := procfs.Listening(l.Init().Pid)
	if err != nil {
		return nil, fmt.Errorf("cannot list the ports of container %.12s: %w", id, err)
	}
	return ports, nil
}

// Usage reads what a container uses that runs or is paused. ErrConflict when it does neither.
func (d *Driver) Usage(ctx context.Context, id string) (process.Usage, error) {
	c, err := d.records.Config(id)
	if err != nil {
		return process.Usage{}, err
	}
	l, err := d.runs.Running(ctx, id, "read what is used by")
	if err != nil {
		return process.Usage{}, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return process.Usage{}, fmt.Errorf("cannot read the clock: clock_gettime(CLOCK_MONOTONIC): %w", err)
	}
	counted, err := d.cgroups.Usage(id)
	if err != nil {
		return process.Usage{}, err
	}
	u := process.Usage{
		Clock: time.Duration(now.Nano()), CPU: counted.CPU, Memory: counted.Memory, InactiveCache: counted.InactiveCache, MemoryLimit: counted.MemoryLimit, Pids: counted.Pids,
		Read: counted.Read, Written: counted.Written,
	}
	if host, err := procfs.HostMemory(); err != nil {
		return process.Usage{}, err
	} else if u.MemoryLimit == 0 || u.MemoryLimit > host {
		u.MemoryLimit = host
	}
	if !counted.IO {
		pids, err := d.cgroups.Processes(id)
		if err == nil {
			u.Read, u.Written, err = procfs.IO(pids)
		}
		if err != nil {
			return process.Usage{}, fmt.Errorf("cannot read what container %.12s reads and writes: %w", id, err)
		}
	}
	if c.OwnNetwork() {
		if u.Received, u.Sent, err = procfs.Traffic(l.Init().Pid); err != nil {
			return process.Usage{}, fmt.Errorf("cannot read what container %.12s sends and receives: %w", id, err)
		}
	}
	if !l.Init().Alive() { // and another process may have had its number
		return process.Usage{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot read what is used by container %.12s: it is not running", id))
	}
	return u, nil
}
