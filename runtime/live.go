package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// live is a container that runs: handles to its monitor. Immutable but for exit, which is set before
// done is closed, and disowned.
type live struct {
	id      string
	status  proto.Status
	monitor *os.File       // pidfd
	reports *child.Reports // of a monitor that was started here; nil: adopted
	root    *os.File       // of the container, where its unmounting takes time, see unmounts; else nil

	done chan struct{} // closed when the monitor has ended and the exit is on record
	exit *process.Exit
	gone chan struct{} // closed when the Driver let go of it while it ran

	disowned bool // it is being ended, see disown. Guarded by Driver.mu
	freed    bool // monitor and reports are the spare's. Guarded by Driver.mu
}

func (l *live) init() identity.Process { return identity.InitOf(&l.status) }

// release stops watching; the container runs on.
func (l *live) release() {
	l.hangUp()
	if l.root != nil {
		l.root.Close()
	}
}

// hangUp lets go of the monitor.
func (l *live) hangUp() {
	l.monitor.Close()
	if l.reports != nil {
		l.reports.Close()
	}
}

// end waits for the end of the run: that of the monitor's process, or that it is free, and the process waits for the next. The error is that of
// release.
func (l *live) end() (free bool, err error) {
	for l.reports != nil {
		rep, fds, err := l.reports.Next()
		child.CloseAll(fds) // none is expected
		if err == nil && rep.Type == proto.ReportExited && rep.Free {
			return true, nil
		}
		if err != nil || rep.Type == proto.ReportSettled {
			l.reports.Close() // the rest is in the exit file
			break
		}
	}
	return false, identity.AwaitEnd(l.monitor)
}

// cleanUpTime is how long the end of a container waits for its last processes to leave the cgroup before it is reported.
// They are killed already; what is left to Delete is a task that the kernel holds in an uninterruptible wait.
const cleanUpTime = 5 * time.Second

// watch registers l and follows it to its end. fresh says that it was started just now.
func (d *Driver) watch(l *live, c *container.Config, fresh bool) error {
	if c != nil {
		d.guard.Protect(c, &l.status, l.monitor, fresh)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed // the guard is closed too
	}
	d.lives[l.id] = l
	d.losses.Listen(l.id)
	d.losses.Known(l.id, l.status.LogError)
	go d.follow(l)
	return nil
}

// follow waits for the monitor's end, puts the exit on record, and cleans up.
//
// While l is in lives nobody else touches the container's cgroup or record, so no lock is needed here.
func (d *Driver) follow(l *live) {
	free, err := l.end()
	if err == nil && free {
		failpoint.Hit("runtime.end.freed")
		err = d.takeOver(l)
	}
	if err != nil { // closed by release
		close(l.gone)
		return
	}
	d.guard.Release(l.id, identity.MonitorOf(&l.status)) // what the container stood on may go
	if l.root != nil {
		d.unmounts.Later(l.id, l.root)
	}
	if free {
		d.children.Keep(&child.Child{Monitor: identity.MonitorOf(&l.status).Next(), Pidfd: l.monitor, Reports: l.reports})
	} else {
		identity.Reap(l.monitor) // no child of ours when adopted; then init does it
		l.hangUp()
	}
	failpoint.Hit("runtime.end.seen")
	l.exit = d.settle(l.id, &l.status)
	failpoint.Hit("runtime.end.settled")
	d.losses.Forget(l.id)
	d.mu.Lock()
	delete(d.lives, l.id)
	d.mu.Unlock()
	close(l.done)
	d.guard.Release(l.id, identity.MonitorOf(&l.status)) // a Mend may have met this
	if l.exit.OOM {
		d.hub.Publish(event.Event{ID: l.id, Kind: event.OOM, At: l.exit.FinishedAt})
	}
	d.hub.Publish(event.Event{ID: l.id, Kind: event.Exited, At: l.exit.FinishedAt, Exit: l.exit})
}

// takeOver takes the handles of a monitor that is free from l, unless release has them.
func (d *Driver) takeOver(l *live) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	l.freed = true
	return nil
}

// settle ends what a dead monitor left: it kills what still runs, removes the cgroups, and makes sure that there is an exit on
// record. A monitor writes the exit before it ends; one that was killed did not, and then the container
// cannot go on, for nobody holds its streams or could tell its end: it is killed too and recorded as 137 with the reason.
// Preconditions: the monitor has ended, or has ended this work; nobody starts id.
func (d *Driver) settle(id string, s *proto.Status) *process.Exit {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	exit, err := d.records.Exit(id)
	if err == nil {
		d.records.KeepExit(id, exit)
	} else {
		exit = &process.Exit{Code: 137, Signal: int(unix.SIGKILL), FinishedAt: time.Now(), Unseen: true,
			Error: "the monitor of the container was killed, the container with it"}
		if !errors.Is(err, fs.ErrNotExist) {
			exit.Error = "the exit of the container cannot be read: " + err.Error()
		}
		if s != nil {
			// By the pid namespace's init all at once; what shares the host's pid namespace comes below.
			if err := identity.InitOf(s).Send(unix.SIGKILL); err != nil {
				exit.Error += "; " + err.Error()
			}
		}
	}
	if err := d.endCgroup(ctx, id); err != nil && exit.Error == "" {
		exit.Error = err.Error()
	}
	if err != nil {
		if err := d.records.WriteExit(id, exit); err != nil {
			exit.Error += "; " + err.Error()
		}
	}
	return exit
}

// endCgroup kills what is left in the cgroups of id and removes them.
func (d *Driver) endCgroup(ctx context.Context, id string) error {
	first, cancel := context.WithTimeout(ctx, 0)
	err := d.cgroups.Remove(first, id) // nearly always empty already
	cancel()
	if err == nil {
		return nil
	}
	if err := d.cgroups.Kill(ctx, id); err != nil {
		return err
	}
	return d.cgroups.Remove(ctx, id)
}

// findLocked is the running container id, adopted if need be; nil when it does not run. One whose exit is on record
// already is about to be gone: its monitor is waited for, so that "stopped" in State means that Start and Delete may follow.
// Preconditions: id's lock is held.
func (d *Driver) findLocked(ctx context.Context, id string) (*live, error) {
	l := d.live(id)
	if l == nil {
		var err error
		if l, err = d.adopt(id); l == nil {
			return nil, err
		}
	}
	if !d.records.HasExit(id) {
		return l, nil
	}
	if _, err := l.wait(ctx); err != nil {
		return nil, err
	}
	return nil, nil
}

// find is findLocked for callers without the lock.
func (d *Driver) find(ctx context.Context, id string) (*live, error) {
	if err := container.CheckID(id); err != nil {
		return nil, err
	}
	if l := d.live(id); l != nil {
		return l, nil
	}
	unlock, err := d.ids.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return d.findLocked(ctx, id)
}

// adopt takes over a container that runs and that nobody of this process watches; nil when id does not run.
// Preconditions: id's lock is held.
func (d *Driver) adopt(id string) (*live, error) {
	s, err := d.records.Status(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pidfd, err := identity.MonitorOf(s).Open()
	if errors.Is(err, identity.ErrGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &live{id: id, status: *s, monitor: pidfd, done: make(chan struct{}), gone: make(chan struct{})}
	c, err := d.records.Config(id)
	if err != nil {
		c = nil // it is followed to its end; there is nothing to hold it against
	}
	if err := d.watch(l, c, false); err != nil {
		pidfd.Close()
		return nil, err
	}
	return l, nil
}

// recover looks at every record and directory, see New.
func (d *Driver) recover(ctx context.Context) error {
	ids, _, err := d.records.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		there, err := d.records.Repair(id, d.notice)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if err := d.recoverOne(id); err != nil {
			return fmt.Errorf("cannot adopt container %.12s: %w", id, err)
		}
	}
	_, err = d.debris(ctx, true)
	return err
}

// decideTime bounds the wait for a monitor's decision. It takes a moment, but on a host with far too much to do: to end one that only waits for its turn may
// be to end a program that has begun.
const decideTime = 30 * time.Second

// decided waits for a monitor that has not come as far as its status, since the daemon died, or hung up, while it started the container. It has seen that:
// before execve it undoes the start and ends; after it, it puts its status down, and the container is adopted: a program that has begun is not
// started a second time. nil: it has ended. One that does neither is killed.
// Preconditions: nobody starts id.
func (d *Driver) decided(id string, monitor identity.Monitor) (*live, error) {
	for deadline := time.Now().Add(decideTime); ; time.Sleep(time.Millisecond) {
		if l, err := d.adopt(id); err != nil || l != nil {
			return l, err
		}
		pidfd, err := monitor.Open() // which reaps it when it has ended
		if errors.Is(err, identity.ErrGone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if time.Now().After(deadline) {
			err := errors.Join(identity.Signal(pidfd, unix.SIGKILL), identity.AwaitEnd(pidfd))
			identity.Reap(pidfd)
			pidfd.Close()
			return nil, err
		}
		pidfd.Close()
	}
}

func (d *Driver) recoverOne(id string) error {
	l, err := d.adopt(id)
	if err != nil || l != nil {
		return err
	}
	r, err := d.records.Run(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // never started
	}
	if err != nil {
		return err
	}
	if r.Boot == d.records.Boot {
		if l, err := d.decided(id, r.Monitor); err != nil || l != nil {
			return err
		}
	}
	s, err := d.records.Status(id)
	if err != nil {
		s = nil
	}
	if _, err := d.records.Exit(id); errors.Is(err, fs.ErrNotExist) && r.Boot != d.records.Boot {
		return d.records.WriteExit(id, &process.Exit{Code: 137, Signal: int(unix.SIGKILL), FinishedAt: time.Now(), Unseen: true, Error: "the host went down while the container ran"})
	}
	d.settle(id, s)
	return nil
}
