package supervise

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/health"
)

// Runner does what a Group decides.
type Runner interface {
	// Wait returns when the current run of container id has ended.
	Wait(ctx context.Context, id string) (Exit, error)
	// Restart starts container id again and calls Started, under the lock that Stop is called under, provided that wanted
	// still says so there. ErrNoRoom when nothing is the matter but the host.
	Restart(ctx context.Context, id string, wanted func() bool) error
	// Probe runs a health check in container id. An error means that it could not be run at all; ErrPaused, that it says nothing, since somebody
	// has paused the container.
	Probe(ctx context.Context, id string, c health.Check) (health.Result, error)
	// Changed is told of each change, after it. With ChangeStarted and ChangeStopped the caller of Started and Stopped may
	// hold the container's lock: Changed must not take it then.
	Changed(id string, c Change, s Status)
}

// ErrPaused is a Probe's of a container that somebody has paused.
var ErrPaused = errors.New("the container is paused")

// ErrNoRoom is a Restart's for which the host has no room, or nothing left of what else it takes. It is tried again, less and less often but each minute at least, and is none of the
// attempts that the container has.
var ErrNoRoom = errors.New("the host has no room")

// Change names what has happened.
type Change string

const (
	ChangeStarted    Change = "started"
	ChangeExited     Change = "exited"  // for good, by itself
	ChangeStopped    Change = "stopped" // because somebody asked for it
	ChangeRestarting Change = "restarting"
	ChangeHealth     Change = "health"
)

// Group is every container that is supervised.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	runner Runner
	wg     sync.WaitGroup

	mu     sync.Mutex
	units  map[string]*unit
	closed bool
}

// New makes an empty group. Close ends it.
func New(r Runner) *Group {
	g := &Group{runner: r, units: map[string]*unit{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Close stops watching; containers run on. It returns when nothing of the group runs any more.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	for _, u := range g.units {
		u.halt()
	}
	g.mu.Unlock()
	g.cancel()
	g.wg.Wait()
}

func (u *unit) halt() {
	if u.cancel != nil {
		u.cancel()
		u.cancel = nil
	}
}

// notify wakes those who wait for a change. Precondition: g.mu is held.
func (u *unit) notify() {
	close(u.changed)
	u.changed = make(chan struct{})
}

func (g *Group) unit(id string) *unit {
	u := g.units[id]
	if u == nil {
		u = &unit{id: id, changed: make(chan struct{})}
		g.units[id] = u
	}
	return u
}

// Started says that container id has been started at a time, by a user or by its policy, or is found running.
func (g *Group) Started(id string, cfg Config, at time.Time, byPolicy bool) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	u := g.unit(id)
	if u.state == Running {
		g.mu.Unlock()
		return
	}
	u.halt()
	u.transition(Running)
	u.cfg, u.started, u.asked, u.last = cfg, at, false, false
	u.run++
	if byPolicy {
		u.restarts++
	} else {
		u.restarts, u.delay = 0, 0
	}
	ctx, cancel := context.WithCancel(g.ctx)
	u.cancel, u.monitor = cancel, nil
	run := u.run
	g.wg.Go(func() { g.await(ctx, id, run) })
	if cfg.Health != nil {
		u.monitor = health.NewMonitor(*cfg.Health, at)
		g.wg.Go(func() { g.probe(ctx, id, run, *cfg.Health) })
	}
	u.notify()
	s := u.status()
	g.mu.Unlock()
	g.runner.Changed(id, ChangeStarted, s)
}

// Known puts a container that does not run on the list, so that its last exit can be read.
func (g *Group) Known(id string, cfg Config, exit *Exit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.unit(id)
	if u.state == Ended {
		u.cfg, u.exit = cfg, exit
	}
}

// Resume treats a container that ended unseen as if it had ended now: its policy decides.
func (g *Group) Resume(id string, cfg Config, started time.Time, exit Exit) {
	g.mu.Lock()
	u := g.unit(id)
	if u.state != Ended || g.closed {
		g.mu.Unlock()
		return
	}
	u.transition(Running)
	u.run++
	u.cfg, u.started = cfg, started
	run := u.run
	g.mu.Unlock()
	g.exited(id, run, exit)
}

// Stop says that somebody wants container id stopped: whatever ends it now is no reason to start it again.
func (g *Group) Stop(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.units[id]
	if u == nil {
		return
	}
	u.asked = true
	switch u.state {
	case Running:
		u.transition(Stopping)
	case Backoff:
		u.halt()
		u.transition(Ended)
	}
	u.notify()
}

// Last says that container id, if it runs, is not to be started again when it ends, whenever that may be: it was sent the signal that its stop would send, and may do with it as it likes.
func (g *Group) Last(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.units[id]; u != nil {
		u.last = true
	}
}

// Spare takes Last back: the policy decides about what runs still.
func (g *Group) Spare(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.units[id]; u != nil {
		u.last = false
	}
}

// Stopped says that the container has ended after Stop, so that nobody has to wait for the news to come round.
// The caller may hold the lock that Changed takes: Changed is told beside it.
func (g *Group) Stopped(id string, exit Exit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.units[id]
	if u == nil || g.closed {
		return
	}
	if change, s, ok := g.end(u, u.run, exit); ok {
		told := u.told
		g.wg.Go(func() { defer close(told); g.runner.Changed(id, change, s) })
	}
}

// Told waits until Changed knows of the end of container id's last run, if that has ended: for who tells what comes after it.
// Precondition: the caller holds no lock that Changed takes.
func (g *Group) Told(id string) {
	g.mu.Lock()
	var told chan struct{}
	if u := g.units[id]; u != nil {
		told = u.told
	}
	g.mu.Unlock()
	if told != nil {
		<-told
	}
}

// Forget drops a container that was deleted.
func (g *Group) Forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.units[id]; u != nil {
		u.halt()
		delete(g.units, id)
		u.forgotten = true
		u.notify()
	}
}

// Status of container id; false when it is not known.
func (g *Group) Status(id string) (Status, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.units[id]
	if u == nil {
		return Status{}, false
	}
	return u.status(), true
}

// Active counts containers that run or are to be started again.
func (g *Group) Active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, u := range g.units {
		if u.state != Ended {
			n++
		}
	}
	return n
}

// Await calls until with the status of container id, now and after each change, until it says that it is done, returns an
// error, or ctx ends. errdefs.ErrNotFound when the container is forgotten.
func (g *Group) Await(ctx context.Context, id string, until func(Status) (bool, error)) error {
	for {
		g.mu.Lock()
		u := g.units[id]
		if u == nil {
			g.mu.Unlock()
			return errdefs.With(errdefs.ErrNotFound, errors.New("the container is gone"))
		}
		s, changed := u.status(), u.changed
		g.mu.Unlock()
		if done, err := until(s); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// await waits for the end of one run.
func (g *Group) await(ctx context.Context, id string, run uint64) {
	exit, err := g.runner.Wait(ctx, id)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		exit = Exit{Code: 125, At: time.Now(), Error: err.Error()}
	}
	g.exited(id, run, exit)
}

// exited is the event that a run has ended.
func (g *Group) exited(id string, run uint64, exit Exit) {
	g.mu.Lock()
	var (
		change Change
		s      Status
		ok     bool
		told   chan struct{}
	)
	if u := g.units[id]; u != nil {
		change, s, ok = g.end(u, run, exit)
		told = u.told
	}
	g.mu.Unlock()
	if ok {
		defer close(told)
		g.runner.Changed(id, change, s)
	}
}

// end decides what follows the end of run, and u.told is closed by who tells Changed. False when the news is late or was told before. Precondition: g.mu is held.
func (g *Group) end(u *unit, run uint64, exit Exit) (Change, Status, bool) {
	if u.run != run || u.state == Ended || u.state == Backoff {
		return "", Status{}, false
	}
	change := ChangeExited
	if u.state == Stopping {
		change = ChangeStopped
	}
	if g.follow(u, exit, u.state == Running && !u.last && !g.closed) {
		change = ChangeRestarting
	}
	u.told = make(chan struct{})
	return change, u.status(), true
}

// follow lets u's policy decide what follows exit, and says whether u is started again; never where it may not be. Precondition: g.mu is held.
func (g *Group) follow(u *unit, exit Exit, may bool) bool {
	u.halt()
	u.exit = &exit
	delay, again := u.again(exit)
	if again = again && may; again {
		u.transition(Backoff)
		g.later(u, delay)
	} else {
		u.transition(Ended)
	}
	u.notify()
	return again
}

// later starts u again after delay. Precondition: g.mu is held and u is in Backoff.
func (g *Group) later(u *unit, delay time.Duration) {
	id, run := u.id, u.run
	ctx, cancel := context.WithCancel(g.ctx)
	u.cancel = cancel
	g.wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(delay):
			g.restart(id, run)
		}
	})
}

func (g *Group) wanted(id string, run uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.units[id]
	return u != nil && u.run == run && u.state == Backoff && !g.closed
}

// restart is the event that a delay is over.
func (g *Group) restart(id string, run uint64) {
	err := g.runner.Restart(g.ctx, id, func() bool { return g.wanted(id, run) })
	if err == nil || g.ctx.Err() != nil {
		return
	}
	// It could not even be started. That counts as a failed run: the policy decides.
	g.mu.Lock()
	u := g.units[id]
	if u == nil || u.run != run || u.state != Backoff {
		g.mu.Unlock()
		return
	}
	if !errors.Is(err, ErrNoRoom) {
		u.restarts++
	}
	now := time.Now()
	u.started = now
	change := ChangeExited
	if g.follow(u, Exit{Code: 125, At: now, Error: err.Error()}, true) {
		change = ChangeRestarting
	}
	s := u.status()
	g.mu.Unlock()
	g.runner.Changed(id, change, s)
}

// probe looks after one run's health until it ends.
func (g *Group) probe(ctx context.Context, id string, run uint64, c health.Check) {
	for {
		r, err := g.runner.Probe(ctx, id, c)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrPaused) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.Interval):
			}
			continue
		}
		if err != nil {
			r.Code, r.Output = -1, "cannot run the health check: "+err.Error()
		}
		g.mu.Lock()
		u := g.units[id]
		if u == nil || u.run != run || u.monitor == nil {
			g.mu.Unlock()
			return
		}
		before := u.monitor.Status()
		delay := u.monitor.Record(r)
		s := u.status()
		if s.Health != before {
			u.notify()
		}
		g.mu.Unlock()
		if s.Health != before {
			g.runner.Changed(id, ChangeHealth, s)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}
