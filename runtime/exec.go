package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/exec"
	"github.com/stackrun/stack/runtime/process"
)

// Exec runs a process in a running container and returns its exit when it has ended and its output is delivered, or
// at once when it has started with p.Detach. A process that cannot be started is a *StartError. When ctx ends, the
// process is killed, unless it was detached.
func (d *Driver) Exec(ctx context.Context, id string, p exec.Process, streams process.IO) (process.Exit, error) {
	c, err := d.records.Config(id)
	if err != nil {
		return process.Exit{}, err
	}
	if len(p.Args) == 0 {
		return process.Exit{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot exec in container %.12s: no command", id))
	}
	l, err := d.runs.Find(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if l == nil {
		return process.Exit{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot exec in container %.12s: it is not running", id))
	}
	if frozen, err := d.cgroups.Frozen(id); err == nil && frozen {
		return process.Exit{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot exec in container %.12s: it is paused", id))
	}
	return d.execs.Run(ctx, exec.In{Config: c, Init: l.Init(), Cgroup: d.cgroups.Group(id), RunDir: d.records.RunDir(id)}, p, streams)
}
