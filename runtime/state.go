package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
)

// List is every container that has a record, by id.
func (d *Driver) List(ctx context.Context) ([]container.State, error) {
	return d.Select(ctx, func(map[string]string) bool { return true })
}

// Select is List of the containers whose labels which wants. It looks at nothing of the others but their records.
func (d *Driver) Select(ctx context.Context, which func(labels map[string]string) bool) ([]container.State, error) {
	entries, err := os.ReadDir(d.records.StateDir())
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	d.guard.Drain()
	now := time.Now()
	var out []container.State
	ids := make([]string, 0, len(entries)) // that have a record
	for _, entry := range entries {
		id := entry.Name()
		if st := d.guard.Seen(id, now); st != nil {
			ids = append(ids, id)
			if which(st.Labels) {
				out = append(out, *st)
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !entry.IsDir() || container.CheckID(id) != nil {
			continue
		}
		mark := d.guard.Mark(id)
		c, err := d.records.Config(id)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue // debris, or being removed
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		if !which(c.Labels) {
			continue
		}
		s, err := d.state(id, c, mark)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	d.runs.Disown(ids)
	return out, nil
}

// State is container id as the host shows it. ErrNotFound when there is no record.
func (d *Driver) State(ctx context.Context, id string) (container.State, error) {
	d.guard.Drain()
	if st := d.guard.Seen(id, time.Now()); st != nil {
		return *st, nil
	}
	mark := d.guard.Mark(id)
	c, err := d.records.Config(id)
	if err != nil {
		return container.State{}, err
	}
	return d.state(id, c, mark)
}

// state is State of the container of which c is the record, read since m. Precondition: the guard was drained at m.
func (d *Driver) state(id string, c *container.Config, m guard.Mark) (container.State, error) {
	st := container.State{ID: id, Status: container.Created, Labels: c.Labels, CreatedAt: c.CreatedAt, Config: c}
	r, err := d.records.Run(id)
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	}
	st.Warnings, st.StartedAt = r.Warnings, r.StartedAt
	s, err := d.records.Status(id)
	if errors.Is(err, fs.ErrNotExist) && !d.records.HasExit(id) {
		if l := d.runs.Followed(id); l != nil { // other hands have removed it: the guard says so
			s, err = l.Status(), nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	}
	started := err == nil
	if started {
		st.StartedAt = s.StartedAt
		if identity.MonitorOf(s).Alive() {
			st.Status, st.Pid, st.PidStart, st.LogError = container.Running, s.Pid, s.PidStart, s.LogError
			st.Stopping = d.records.Stopping(id, identity.InitOf(s))
			frozen, err := d.cgroups.Frozen(id)
			if err != nil {
				return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
			}
			if frozen {
				st.Status = container.Paused
			}
			found := d.guard.Problem(c, identity.InitOf(s), r.Warnings)
			st.Problem, st.Lasting = found.Text, found.Lasting
			if m.Of(identity.MonitorOf(s)) && st.Status == container.Running && found.Text == "" {
				if staying, err := d.cgroups.Staying(id); err == nil && staying {
					d.guard.Remember(m, st)
				}
			}
			return st, nil
		}
	}
	exit, err := d.records.Exit(id)
	switch {
	case err == nil:
		st.Status, st.Exit = container.Stopped, exit
		if !exit.StartedAt.IsZero() {
			st.StartedAt = exit.StartedAt
		}
	case !errors.Is(err, fs.ErrNotExist):
		return st, fmt.Errorf("cannot read the state of container %.12s: %w", id, err)
	case started || r.Boot != d.records.Boot:
		// The monitor is dead and left no exit; follow or New is about to settle that, and will say the same.
		st.Status, st.Exit = container.Stopped, &process.Exit{Code: 137, Signal: 9, FinishedAt: time.Now(), Unseen: true, Error: "the container ended with nobody watching"}
	default:
		// Being started right now.
	}
	return st, nil
}
