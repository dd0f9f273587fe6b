// Package supervision has the runs of containers: each is started, or adopted when an earlier daemon has started it, and followed to its end.
//
// Touches processes, cgroups and records, by the packages that it is given.
package supervision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/idlock"
	"github.com/stackrun/stack/runtime/logloss"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/record"
	"github.com/stackrun/stack/runtime/seccomp"
	"github.com/stackrun/stack/runtime/unmount"
)

// ErrClosed is what those get who wait when the Supervisor is closed.
var ErrClosed = errdefs.With(errdefs.ErrUnavailable, errors.New("the daemon is ending"))

// Parts are what a Supervisor works with; all are needed.
type Parts struct {
	Records  *record.Records
	Cgroups  *cgroup.Parent
	Children *child.Pool
	Guard    *guard.Guard
	Losses   *logloss.Listener
	Unmounts *unmount.Queue
	Filters  *seccomp.Cache
	Events   *event.Hub
	Locks    *idlock.Locks // of containers
	Guests   *idlock.Guests
	Notice   func(text string) // tells what somebody should know and what is no error
}

// Supervisor starts containers, adopts those that run already, and follows each to its end. It is safe for concurrent use.
//
// What is true is on the host: it holds in memory handles of what runs.
//
// Lock order: a container's lock, then mu.
type Supervisor struct {
	records  *record.Records
	cgroups  *cgroup.Parent
	children *child.Pool
	guard    *guard.Guard
	losses   *logloss.Listener
	unmounts *unmount.Queue
	filters  *seccomp.Cache
	events   *event.Hub
	locks    *idlock.Locks
	guests   *idlock.Guests
	notice   func(text string)

	mu     sync.Mutex
	lives  map[string]*Run
	closed bool
}

// New makes one that looks after nothing yet: Recover comes first.
func New(p Parts) *Supervisor {
	return &Supervisor{
		records: p.Records, cgroups: p.Cgroups, children: p.Children, guard: p.Guard, losses: p.Losses, unmounts: p.Unmounts, filters: p.Filters, events: p.Events,
		locks: p.Locks, guests: p.Guests, notice: p.Notice, lives: map[string]*Run{},
	}
}

// Close lets go of every container and leaves it running: who waits for one gets ErrClosed. false: that was done before. Its parts stay open.
func (sv *Supervisor) Close() bool {
	sv.mu.Lock()
	if sv.closed {
		sv.mu.Unlock()
		return false
	}
	sv.closed = true
	lives := make([]*Run, 0, len(sv.lives))
	for _, l := range sv.lives {
		if !l.freed {
			lives = append(lives, l)
		}
	}
	sv.mu.Unlock()
	for _, l := range lives {
		l.release()
	}
	return true
}

// cleanUpTime is how long the end of a container waits for its last processes to leave the cgroup before it is reported.
// They are killed already; what is left to Delete is a task that the kernel holds in an uninterruptible wait.
const cleanUpTime = 5 * time.Second

// watch registers l and follows it to its end. fresh says that it was started just now.
func (sv *Supervisor) watch(l *Run, c *container.Config, fresh bool) error {
	if c != nil {
		sv.guard.Protect(c, &l.status, l.monitor, fresh)
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.closed {
		return ErrClosed // the guard is closed too
	}
	sv.lives[l.ID] = l
	sv.losses.Listen(l.ID)
	sv.losses.Known(l.ID, l.status.LogError)
	go sv.follow(l)
	return nil
}

// follow waits for the end of the run, puts the exit on record, and cleans up.
//
// While l is in lives nobody else touches the container's cgroup or record, so no lock is needed here.
func (sv *Supervisor) follow(l *Run) {
	told, err := l.end()
	if err != nil { // closed by release
		close(l.gone)
		return
	}
	failpoint.Hit("runtime.end.seen")
	sv.letGo(l) // what the container stood on may go
	exit := sv.settle(l.ID, &l.status, told)
	failpoint.Hit("runtime.end.settled")
	free := false
	if told != nil {
		if free, err = l.tidied(); free {
			failpoint.Hit("runtime.end.freed")
			err = sv.takeOver(l)
		}
		if err != nil {
			close(l.gone)
			return
		}
	}
	if free {
		sv.children.Keep(&child.Child{Monitor: identity.MonitorOf(&l.status).Next(), Pidfd: l.monitor, Reports: l.reports})
	} else {
		identity.Reap(l.monitor) // no child of ours when adopted; then init does it
		l.hangUp()
	}
	l.Exit = exit
	sv.losses.Forget(l.ID)
	sv.mu.Lock()
	delete(sv.lives, l.ID)
	sv.mu.Unlock()
	close(l.done)
	sv.unguard(l) // a Mend may have met this
	if l.Exit.OOM {
		sv.events.Publish(event.Event{ID: l.ID, Kind: event.OOM, At: l.Exit.FinishedAt})
	}
	sv.events.Publish(event.Event{ID: l.ID, Kind: event.Exited, At: l.Exit.FinishedAt, Exit: l.Exit})
}

// letGo lets go of what l, which has ended, has mounted: aside where unmounting it takes time, and nobody may want it at once.
func (sv *Supervisor) letGo(l *Run) {
	if l.root == nil || l.devices {
		sv.unguard(l)
	}
	if l.root != nil {
		sv.unmounts.Later(l.ID, sv.guard.Release(l.ID, identity.MonitorOf(&l.status)), l.root)
	}
}

// unguard has the guard look after l no more.
func (sv *Supervisor) unguard(l *Run) {
	if mounts := sv.guard.Release(l.ID, identity.MonitorOf(&l.status)); mounts != nil {
		mounts.Close()
	}
}

// takeOver takes the handles of a monitor that is free from l, unless release has them.
func (sv *Supervisor) takeOver(l *Run) error {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.closed {
		return ErrClosed
	}
	l.freed = true
	return nil
}

// settle ends what a dead monitor left: it kills what still runs, removes the cgroups, and makes sure that there is an exit on
// record. A monitor writes the exit before it ends; one that was killed did not, and then the container
// cannot go on, for nobody holds its streams or could tell its end: it is killed too and recorded as 137 with the reason.
// told is the exit on record, nil where nobody has told it.
// Preconditions: the monitor has ended, or has told the exit; nobody starts id.
func (sv *Supervisor) settle(id string, s *proto.Status, told *process.Exit) *process.Exit {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	exit, err := told, error(nil)
	if told == nil {
		if exit, err = sv.records.Exit(id); err == nil {
			sv.records.KeepExit(id, exit)
		}
	}
	if err != nil {
		exit = &process.Exit{Code: 137, Signal: int(unix.SIGKILL), FinishedAt: time.Now(), Unseen: true,
			Error: "the monitor of the container was killed, the container with it"}
		if !errors.Is(err, fs.ErrNotExist) {
			exit.Error = "the exit of the container cannot be read: " + err.Error()
		}
		if s != nil {
			exit.StartedAt = s.StartedAt
			// By the pid namespace's init all at once; what shares the host's pid namespace comes below.
			if err := identity.InitOf(s).Send(unix.SIGKILL); err != nil {
				exit.Error += "; " + err.Error()
			}
		}
	}
	if err := sv.endCgroup(ctx, id); err != nil && exit.Error == "" {
		exit.Error = err.Error()
	}
	if err != nil {
		if err := sv.records.WriteExit(id, exit); err != nil {
			exit.Error += "; " + err.Error()
		}
	}
	return exit
}

// endCgroup kills what is left in the cgroups of id and removes them.
func (sv *Supervisor) endCgroup(ctx context.Context, id string) error {
	first, cancel := context.WithTimeout(ctx, 0)
	err := sv.cgroups.Remove(first, id) // nearly always empty already
	cancel()
	if err == nil {
		return nil
	}
	if err := sv.cgroups.Kill(ctx, id); err != nil {
		return err
	}
	return sv.cgroups.Remove(ctx, id)
}

// FindLocked is the run of container id, adopted if need be; nil when it does not run. One whose exit is on record
// already is about to be gone: its monitor is waited for, so that "stopped" in State means that Start and Delete may follow.
// Preconditions: id's lock is held.
func (sv *Supervisor) FindLocked(ctx context.Context, id string) (*Run, error) {
	l := sv.Followed(id)
	if l == nil {
		var err error
		if l, err = sv.adopt(id); l == nil {
			return nil, err
		}
	}
	if !sv.records.HasExit(id) {
		return l, nil
	}
	if _, err := l.Wait(ctx); err != nil {
		return nil, err
	}
	return nil, nil
}

// Find is FindLocked for callers without the lock.
func (sv *Supervisor) Find(ctx context.Context, id string) (*Run, error) {
	if err := container.CheckID(id); err != nil {
		return nil, err
	}
	if l := sv.Followed(id); l != nil {
		return l, nil
	}
	unlock, err := sv.locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return sv.FindLocked(ctx, id)
}

// adopt takes over a container that runs and that nobody of this process watches; nil when id does not run.
// Preconditions: id's lock is held.
func (sv *Supervisor) adopt(id string) (*Run, error) {
	s, err := sv.records.Status(id)
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
	l := &Run{ID: id, status: *s, monitor: pidfd, done: make(chan struct{}), gone: make(chan struct{})}
	c, err := sv.records.Config(id)
	if err != nil {
		c = nil // it is followed to its end; there is nothing to hold it against
	}
	if err := sv.watch(l, c, false); err != nil {
		pidfd.Close()
		return nil, err
	}
	return l, nil
}

// Followed is the run of container id that is followed, or nil. It adopts nobody.
func (sv *Supervisor) Followed(id string) *Run {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	return sv.lives[id]
}

// Door takes the lock of a container that is to be changed and looks who is there: its record, and its run, nil when there is none. ErrNotFound when there is no record. The
// caller calls unlock once, unless there is an error.
func (sv *Supervisor) Door(ctx context.Context, id string) (unlock func(), c *container.Config, l *Run, err error) {
	if err := container.CheckID(id); err != nil {
		return nil, nil, nil, err
	}
	unlock, err = sv.locks.Take(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	if c, err = sv.records.Config(id); err == nil {
		l, err = sv.FindLocked(ctx, id)
	}
	if err != nil {
		unlock()
		return nil, nil, nil, err
	}
	return unlock, c, l, nil
}

// Running is the run of container id, that has processes, frozen or not; else ErrConflict. verb is for the message.
func (sv *Supervisor) Running(ctx context.Context, id, verb string) (*Run, error) {
	l, err := sv.Find(ctx, id)
	if err == nil && l == nil {
		err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s container %.12s: it is not running", verb, id))
	}
	return l, err
}

// Kill kills every process of l, frozen or not, and does not wait for the end of the run. One that is over = success.
//
// Precondition: id's lock is not held.
func (sv *Supervisor) Kill(ctx context.Context, l *Run) error {
	// The init takes its pid namespace with it, whatever the cgroup version.
	if err := l.Init().Send(unix.SIGKILL); err != nil {
		return err
	}
	// The cgroup has the name of the container, not of the run: hold back a Start while it is this run's.
	unlock, err := sv.locks.Lock(ctx, l.ID)
	if err != nil {
		return err
	}
	defer unlock()
	select {
	case <-l.done:
		return nil
	default:
	}
	if frozen, err := sv.cgroups.Frozen(l.ID); err == nil && frozen {
		// v1 does not even deliver SIGKILL to the frozen.
		if err := sv.cgroups.Freeze(ctx, l.ID, false); err != nil {
			return err
		}
	}
	return sv.cgroups.Kill(ctx, l.ID)
}

// Renew has the guard look after l by the record c, and by what is there now.
//
// Precondition: the container's lock is held.
func (sv *Supervisor) Renew(l *Run, c *container.Config) {
	sv.unguard(l)
	sv.guard.Protect(c, &l.status, l.monitor, false)
	select {
	case <-l.done: // its end may have met this
		sv.unguard(l)
	default:
	}
}
