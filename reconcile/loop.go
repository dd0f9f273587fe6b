package reconcile

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
)

// settleTime is how long the loop waits after an event before it looks: what belongs together comes together, the exits of
// a pid namespace's members, say.
const settleTime = 50 * time.Millisecond

// errYield ends the healing of a project because a command wants its turn.
var errYield = errors.New("a command has the turn")

// loop keeps the host as users have asked for. It is level-triggered: an event, or a hint from a driver, says only that it is time to
// look again; what is done follows from what is seen then (heal.go). Nothing is polled: its timers are settleTime and back-offs.
//
// A project is healed by one at a time, in the turn that commands have too, and commands go first: one that comes ends
// the healing, which goes on after it.
type loop struct {
	e       *Engine
	off     bool // nothing is healed
	worked  func()
	running sync.WaitGroup

	mu       sync.Mutex
	projects map[string]*kept
	scanning bool          // hints are being followed up
	wake     chan struct{} // a hint of our own
	closed   bool
}

// kept is a project that the loop looks after. loop.mu guards it, but for attempts and the like, which are of the one who heals.
type kept struct {
	timer   *time.Timer // to the next look; nil = none is due
	at      time.Time
	busy    bool // somebody heals
	again   bool // and is to look once more
	glances int  // see Engine.glance
	claims  int  // commands that have the turn or wait for it
	yield   context.CancelCauseFunc
	round   *round // that is being carried out, nil = none
	pardon  bool   // what was tried so far does not count any more
	gone    bool   // nothing is wished for any more

	attempts map[plan.ID]*attempts
	failures int    // looks in a row that could not even be made
	told     string // about the last of them
}

func newLoop(e *Engine) *loop {
	return &loop{e: e, worked: func() {}, projects: map[string]*kept{}, wake: make(chan struct{}, 1)}
}

// start begins to watch, and has everything looked at.
func (l *loop) start(ctx context.Context) {
	l.scanning = true
	hints := []<-chan struct{}{l.wake}
	for what, watch := range map[string]func(context.Context) (<-chan struct{}, error){
		"networks": l.e.drivers.Networks.Watch, "volumes": l.e.drivers.Volumes.Watch, "containers": l.e.drivers.Containers.Watch,
	} {
		ch, err := watch(ctx)
		if err != nil {
			l.e.log.Warn("cannot watch: damage is seen at the next command or event only", "what", what, "error", err)
			continue
		}
		hints = append(hints, ch)
	}
	hint := l.merge(ctx, hints)
	l.running.Go(func() { l.followHints(ctx, hint) })
}

// merge passes on what any of in says, coalesced, until ctx ends.
func (l *loop) merge(ctx context.Context, in []<-chan struct{}) <-chan struct{} {
	out := make(chan struct{}, 1)
	for _, ch := range in {
		l.running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case _, ok := <-ch:
					if !ok {
						if ctx.Err() == nil {
							l.e.log.Warn("a driver can watch no more: its damage is seen at the next command or event only")
						}
						return
					}
				}
				select {
				case out <- struct{}{}:
				default:
				}
			}
		})
	}
	return out
}

// scanShare bounds what following hints costs: at most one part in so many of a processor.
const scanShare = 20

// followHints looks at the whole host once at its start and after hints: they do not say which project is concerned.
func (l *loop) followHints(ctx context.Context, hint <-chan struct{}) {
	var seen views
	var cost time.Duration
	for {
		began := time.Now()
		if err := l.scan(ctx, &seen); err != nil && ctx.Err() == nil {
			l.e.log.Warn("cannot look at the host", "error", err)
		}
		cost = time.Since(began)
		l.worked()
		l.mu.Lock()
		l.scanning = len(hint) > 0
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-hint:
		}
		l.mu.Lock()
		l.scanning = true
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(settleTime, scanShare*cost)):
		}
		select { // what came meanwhile is looked at now
		case <-hint:
		default:
		}
	}
}

// views are what records ask for, by project, as long as they stay as they are: reading a large file for each hint would be most of the work.
type views map[string]view

type view struct {
	raw    []byte
	record *wish.Record
	want   *plan.Desired
}

// scan reads the host once and has those projects healed that seem to need it.
func (l *loop) scan(ctx context.Context, seen *views) error {
	host, err := inventory.ReadHost(ctx, l.e.drivers, "")
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range host.Containers {
		there[c.ID] = true
	}
	now := views{}
	var damaged []string
	err = l.e.wishes.Each(func(name string, raw []byte) error {
		v := (*seen)[name]
		if !bytes.Equal(v.raw, raw) {
			v = view{raw: bytes.Clone(raw)}
			if v.record, err = wish.Decode(raw); err == nil {
				v.want, err = l.e.wanted(name, v.record)
			}
			if err != nil {
				damaged = append(damaged, name) // heal says why
				return nil
			}
		}
		now[name] = v
		taken := l.e.passes.keys.Taken(name)
		if taken && !l.inRound(name) {
			return nil // it is looked at after that
		}
		have := host.Of(name)
		l.e.supervised(have)
		pl, _ := plan.Build(v.want, have, healOptions(v.record, v.want))
		if taken {
			l.interrupt(name, pl)
			return nil
		}
		if v.record.Pass != nil || pl == nil || !pl.Empty() || len(l.e.vanished(name, there)) > 0 || anyUnhealthy(have) {
			damaged = append(damaged, name)
		}
		return nil
	})
	*seen = now
	for _, name := range damaged {
		l.kick(name)
	}
	return err
}

func anyUnhealthy(have *plan.Observed) bool {
	for _, c := range have.Containers {
		if c.Unhealthy {
			return true
		}
	}
	return false
}

// kick has a project looked at soon.
func (l *loop) kick(project string) { l.after(project, settleTime) }

// after has a project looked at after d at the latest.
func (l *loop) after(project string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.afterLocked(project, d)
}

func (l *loop) afterLocked(project string, d time.Duration) {
	if l.off || l.closed || project == "" {
		return
	}
	k := l.kept(project)
	at := time.Now().Add(d)
	if k.timer != nil {
		if !k.at.After(at) || !k.timer.Stop() {
			return // it is earlier, or has just come
		}
	}
	k.at = at
	k.timer = time.AfterFunc(d, func() { l.look(project) })
}

func (l *loop) kept(project string) *kept {
	k := l.projects[project]
	if k == nil {
		k = &kept{attempts: map[plan.ID]*attempts{}}
		l.projects[project] = k
	}
	return k
}

// look is a timer's event.
func (l *loop) look(project string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.projects[project]
	if k == nil || l.closed {
		return
	}
	k.timer = nil
	switch {
	case k.claims > 0: // whoever has the turn looks at its end
	case k.busy:
		k.again = true
		if k.round != nil { // does it wait, and for something else?
			select {
			case l.wake <- struct{}{}:
			default:
			}
			l.armHeld(project, k.round)
		}
	default:
		k.busy = true
		l.running.Go(func() { l.heal(project, k) })
	}
}

// heal is one round of healing, and says when the next is due.
func (l *loop) heal(project string, k *kept) {
	next, known := l.turn(project, k)
	l.worked()
	l.mu.Lock()
	defer l.mu.Unlock()
	k.busy, k.yield = false, nil
	again := k.again
	k.again = false
	switch {
	case again && k.claims == 0:
		l.afterLocked(project, settleTime)
	case next > 0 && k.claims == 0:
		l.afterLocked(project, next)
	case !known && k.claims == 0 && k.timer == nil:
		delete(l.projects, project)
	}
}

// turn heals project when its turn has come, unless a command wants it.
func (l *loop) turn(project string, k *kept) (next time.Duration, known bool) {
	release, err := l.e.turn(l.e.life, project)
	if err != nil {
		return 0, true // the engine ends
	}
	defer release()
	ctx, yield := context.WithCancelCause(l.e.life)
	defer yield(nil)
	l.mu.Lock()
	if k.claims > 0 {
		l.mu.Unlock()
		return 0, true
	}
	k.yield = yield
	if k.pardon {
		k.attempts, k.failures, k.told, k.pardon = map[plan.ID]*attempts{}, 0, "", false
	}
	l.mu.Unlock()
	return l.e.heal(ctx, project, k)
}

// claim says that a command wants the turn: who heals the project stops. release, when it has had it, has the project looked at.
func (l *loop) claim(project string) (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	k.claims++
	if k.yield != nil {
		k.yield(errYield)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch k.claims--; {
		case k.claims > 0:
		case k.gone && !k.busy:
			if k.timer != nil {
				k.timer.Stop()
			}
			delete(l.projects, project)
		default:
			k.gone = false
			l.afterLocked(project, settleTime)
		}
	}
}

// drop forgets a project that was taken down, unless another command brings it up. Precondition: the caller has the turn by a claim, or
// heals.
func (l *loop) drop(project string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept(project).gone = true
}

// pardon forgets what was tried for a project: a user has brought it up anew.
func (l *loop) pardon(project string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	k.pardon, k.gone = true, false
}

// idle says that nothing is being looked at or about to be.
func (l *loop) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scanning {
		return false
	}
	for _, k := range l.projects {
		if k.timer != nil || k.busy {
			return false
		}
	}
	return true
}

// stop ends the loop. Precondition: the context of start has ended.
func (l *loop) stop() {
	l.mu.Lock()
	l.closed = true
	for _, k := range l.projects {
		if k.timer != nil {
			k.timer.Stop()
		}
	}
	l.mu.Unlock()
	l.running.Wait()
}
