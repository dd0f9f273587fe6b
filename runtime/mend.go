package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/procfs"
)

// Mend puts back what can be put back while container id runs: its cgroups and their limits. What State.Problem still says afterwards
// needs a restart. Not running, or nothing to do = success. Idempotent.
func (d *Driver) Mend(ctx context.Context, id string) (container.State, error) {
	unlock, c, l, err := d.runs.Door(ctx, id)
	if err != nil {
		return container.State{}, err
	}
	defer unlock()
	if l == nil {
		return d.state(id, c, guard.Mark{})
	}
	r, err := d.records.Run(id)
	if err != nil {
		return container.State{}, fmt.Errorf("cannot mend container %.12s: %w", id, err)
	}
	err = d.cgroups.Restore(guard.Made(c, r.Warnings), l.Init().Pid, func() ([]int, error) {
		if !c.OwnPids() {
			return nil, nil // whose is whose in a shared namespace cannot be told: a restart puts them back
		}
		return procfs.InPidNamespaceOf(l.Init().Pid)
	})
	if err != nil && l.Init().Alive() {
		return container.State{}, fmt.Errorf("cannot mend container %.12s: %w", id, err)
	}
	// What was made anew is not watched yet.
	d.runs.Renew(l, c)
	return d.state(id, c, guard.Mark{})
}
