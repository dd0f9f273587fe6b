package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
)

// List is every container that has a record, by id.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	ids, _, err := d.listIDs()
	if err != nil {
		return nil, err
	}
	d.guard.drain()
	d.disown(ids)
	out := make([]State, 0, len(ids))
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := d.stateOf(id)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// State is container id as the host shows it. ErrNotFound when there is no record.
func (d *Driver) State(ctx context.Context, id string) (State, error) {
	d.guard.drain()
	return d.stateOf(id)
}

// stateOf is State. Precondition: the guard is drained.
func (d *Driver) stateOf(id string) (State, error) {
	c, err := d.config(id)
	if err != nil {
		return State{}, err
	}
	return d.state(id, c)
}

func (d *Driver) state(id string, c *Config) (State, error) {
	st := State{ID: id, Status: Created, Labels: c.Labels, CreatedAt: c.CreatedAt, Config: c}
	r, err := d.readRun(id)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	}
	st.Warnings, st.StartedAt = r.Warnings, r.StartedAt
	s, err := d.readStatus(id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	}
	started := err == nil
	if started {
		st.StartedAt = s.StartedAt
		if (identity{s.MonitorPid, s.MonitorStart}).alive() {
			st.Status, st.Pid, st.PidStart, st.LogError = Running, s.Pid, s.PidStart, s.LogError
			frozen, err := d.cgroups.Frozen(id)
			if err != nil {
				return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
			}
			if frozen {
				st.Status = Paused
			}
			st.Problem = d.problem(c, identity{s.Pid, s.PidStart}, r.Warnings)
			return st, nil
		}
	}
	exit, err := d.readExit(id)
	switch {
	case err == nil:
		st.Status, st.Exit = Stopped, exit
	case !errors.Is(err, fs.ErrNotExist):
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	case started || r.Boot != d.boot:
		// The monitor is dead and left no exit; follow or New is about to settle that, and will say the same.
		st.Status, st.Exit = Stopped, &Exit{Code: 137, Signal: 9, FinishedAt: time.Now(), Unseen: true, Error: "the container ended with nobody watching"}
	default:
		// Being started right now.
	}
	return st, nil
}
