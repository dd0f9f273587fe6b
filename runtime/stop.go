package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/supervision"
)

const defaultGrace = 10 * time.Second

// Stop sends the stop signal, waits for grace, then kills every process of the container, and returns its exit. grace < 0 means
// the container's own. Not running = success, with the exit of the last run if there was one.
func (d *Driver) Stop(ctx context.Context, id string, grace time.Duration) (process.Exit, error) {
	return d.StopBy(ctx, id, 0, grace)
}

// StopBy is Stop with another signal than the container's own, which is sent also where grace is 0. 0 is the container's own.
func (d *Driver) StopBy(ctx context.Context, id string, sig unix.Signal, grace time.Duration) (process.Exit, error) {
	c, err := d.records.Config(id)
	if err != nil {
		return process.Exit{}, err
	}
	l, err := d.runs.Find(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if l == nil {
		if x, err := d.records.Exit(id); err == nil {
			return *x, nil
		}
		return process.Exit{}, nil
	}
	if grace < 0 {
		if grace = c.StopGrace; grace == 0 {
			grace = defaultGrace
		}
	}
	told := grace > 0 || sig != 0
	if sig == 0 {
		if sig, err = container.ParseSignal(c.StopSignal); err != nil {
			return process.Exit{}, fmt.Errorf("cannot stop container %.12s: %w", id, err)
		}
	}
	if told {
		// Before the signal: whoever comes when this daemon is no more knows it then. Without it he takes the run for one that nobody stops, for which no stop is given up.
		_ = d.records.MarkStopping(id, l.Init())
		failpoint.Hit("runtime.stop.marked")
		if err := l.Init().Send(sig); err != nil {
			return process.Exit{}, fmt.Errorf("cannot stop container %.12s: %s: %w", id, unix.SignalName(sig), err)
		}
		failpoint.Hit("runtime.stop.signalled")
		// A frozen process takes no signal; it gets its chance.
		if err := d.thaw(ctx, id); err != nil {
			return process.Exit{}, err
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-l.Over():
			return *l.Exit, nil
		case <-l.Left():
			return process.Exit{}, supervision.ErrClosed
		case <-ctx.Done():
			return process.Exit{}, ctx.Err()
		case <-timer.C:
		}
	}
	if err := d.runs.Kill(ctx, l); err != nil {
		return process.Exit{}, fmt.Errorf("cannot stop container %.12s: %w", id, err)
	}
	return l.Wait(ctx)
}

// Kill sends sig to the container's init. SIGKILL ends a paused container too. Not running = success.
func (d *Driver) Kill(ctx context.Context, id string, sig unix.Signal) error {
	if _, err := d.records.Config(id); err != nil {
		return err
	}
	l, err := d.runs.Find(ctx, id)
	if err != nil || l == nil {
		return err
	}
	if err := l.Init().Send(sig); err != nil {
		return fmt.Errorf("cannot send %s to container %.12s: %w", unix.SignalName(sig), id, err)
	}
	if sig != unix.SIGKILL {
		return nil // a paused process takes it when it goes on
	}
	return d.thaw(ctx, id) // the freezer of v1 holds back even SIGKILL
}

// thaw lets the processes of container id go on, if they are frozen. One that has ended meanwhile = success.
func (d *Driver) thaw(ctx context.Context, id string) error {
	frozen, err := d.cgroups.Frozen(id)
	if err != nil || !frozen {
		return nil
	}
	if err := d.cgroups.Freeze(ctx, id, false); err != nil && !errors.Is(err, fs.ErrNotExist) { // its cgroup ended with it
		return err
	}
	return nil
}

// Wait returns the exit of the current run; at once for a container that has stopped. ErrConflict for
// one that was never started.
func (d *Driver) Wait(ctx context.Context, id string) (process.Exit, error) {
	l, err := d.runs.Find(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if l != nil {
		return l.Wait(ctx)
	}
	st, err := d.State(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if st.Exit == nil {
		return process.Exit{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot wait for container %.12s: it was not started", id))
	}
	return *st.Exit, nil
}

// Pause freezes every process of a running container, Resume lets them go on. Idempotent.
func (d *Driver) Pause(ctx context.Context, id string) error { return d.freeze(ctx, id, "pause", true) }
func (d *Driver) Resume(ctx context.Context, id string) error {
	return d.freeze(ctx, id, "resume", false)
}

func (d *Driver) freeze(ctx context.Context, id, verb string, frozen bool) error {
	unlock, _, l, err := d.runs.Door(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if l != nil {
		err = d.cgroups.Freeze(ctx, id, frozen)
	}
	if l == nil || err != nil && !l.Init().Alive() { // it may end meanwhile
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s container %.12s: it is not running", verb, id))
	}
	return err
}
