// Package loop decides when each project is looked at and repaired, and whose turn it is: a command's or the loop's.
// It has the turns of projects, which all commands take. What is done in a turn of the loop, its Healer does (package
// healing).
package loop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackrun/stack/reconcile/gate"
	"github.com/stackrun/stack/reconcile/plan"
)

// SettleTime is how long the loop waits after an event before it looks: what belongs together comes together, the exits of
// a pid namespace's members, say.
const SettleTime = 50 * time.Millisecond

// errYield ends the healing of a project because a command wants its turn.
var errYield = errors.New("a command has the turn")

// Healer looks at the host and puts right what it is told of. The loop says when.
type Healer interface {
	// Scan looks at the whole host and has those projects kicked that seem to need it.
	Scan(ctx context.Context) error
	// Heal looks at a project and puts it right. It says when to look again (0 = when something happens), and whether the project is known at all.
	// The project's turn is held. When ctx ends, somebody else wants it.
	Heal(ctx context.Context, project string, t *Trials) (next time.Duration, known bool)
}

// Loop says when each project is looked at, and whose turn it is. It is level-triggered: an event, or a hint from a driver, says only that it is time to
// look again; what is done follows from what is seen then (Healer). Nothing is polled: its timers are SettleTime and back-offs.
//
// A project is healed by one at a time, in the turn that commands have too, and commands go first: one that comes ends
// the healing, which goes on after it. Safe for concurrent use.
type Loop struct {
	healer  Healer
	off     bool // nothing is healed
	worked  func()
	log     *slog.Logger
	life    context.Context
	running sync.WaitGroup

	gate   *gate.Gate
	passes *gate.Locks  // the turns, by project
	busy   atomic.Int64 // requests in flight

	mu       sync.Mutex
	projects map[string]*kept
	scanning bool          // hints are being followed up
	wake     chan struct{} // a hint of our own
	closed   bool
}

// kept is a project that the loop looks after. Loop.mu guards it, but for trials, which are of the one who heals.
type kept struct {
	timer      *time.Timer // to the next look; nil = none is due
	at         time.Time
	busy       bool // somebody heals
	again      bool // and is to look once more
	glances    int  // see Glance
	claims     int  // commands that have the turn or wait for it
	overruling int  // commands that wait for it, before which nobody is to bring anything up
	yield      context.CancelCauseFunc
	round      *Round                  // that is being carried out, nil = none
	giveWay    context.CancelCauseFunc // of the command that has the turn, if it is Yielding
	pardon     bool                    // what was tried so far does not count any more
	gone       bool                    // nothing is wished for any more

	trials Trials
}

// Options of New.
type Options struct {
	Log    *slog.Logger
	Off    bool   // nothing is healed
	Worked func() // called after each thing that is done of itself; nil = nobody is told
}

// New is a loop whose turns can be taken, and which has h heal what it is told of. What it does of itself ends with life. Those who take its turns pass g.
func New(life context.Context, g *gate.Gate, h Healer, o Options) *Loop {
	l := &Loop{life: life, healer: h, gate: g, passes: g.Locks(), log: o.Log, off: o.Off, worked: o.Worked, projects: map[string]*kept{}, wake: make(chan struct{}, 1)}
	if l.worked == nil {
		l.worked = func() {}
	}
	return l
}

// Off says that nothing is healed.
func (l *Loop) Off() bool { return l.off }

// Watch says when it is time to look at a part of the host. See driver.Networks, for one.
type Watch func(context.Context) (<-chan struct{}, error)

// Start begins to watch, by what each part of the host says, and has everything looked at.
func (l *Loop) Start(watches map[string]Watch) {
	ctx := l.life
	l.scanning = true
	hints := []<-chan struct{}{l.wake}
	for what, watch := range watches {
		ch, err := watch(ctx)
		if err != nil {
			l.log.Warn("cannot watch: damage is seen at the next command or event only", "what", what, "error", err)
			continue
		}
		hints = append(hints, ch)
	}
	hint := l.merge(ctx, hints)
	l.running.Go(func() { l.followHints(ctx, hint) })
}

// merge passes on what any of in says, coalesced, until ctx ends.
func (l *Loop) merge(ctx context.Context, in []<-chan struct{}) <-chan struct{} {
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
							l.log.Warn("a driver can watch no more: its damage is seen at the next command or event only")
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

// followHints looks at the whole host once at its start and after hints: they do not say which project is concerned. A look that cannot be made is tried again, for nobody hints once more at
// what has happened.
func (l *Loop) followHints(ctx context.Context, hint <-chan struct{}) {
	var cost time.Duration
	var looks Trials
	for {
		began := time.Now()
		var again <-chan time.Time
		switch err := l.healer.Scan(ctx); {
		case err == nil:
			looks.Looked()
		case ctx.Err() == nil:
			next, news := looks.Failed(err.Error())
			if again = time.After(next); news {
				l.log.Warn("cannot look at the host; it is tried again", "error", err)
			}
		}
		cost = time.Since(began)
		l.worked()
		l.mu.Lock()
		l.scanning = again != nil || len(hint) > 0
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-hint:
		}
		l.mu.Lock()
		l.scanning = true
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(SettleTime, scanShare*cost)):
		}
		select { // what came meanwhile is looked at now
		case <-hint:
		default:
		}
	}
}

// Kick has a project looked at soon.
func (l *Loop) Kick(project string) { l.after(project, SettleTime) }

// after has a project looked at after d at the latest.
func (l *Loop) after(project string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.afterLocked(project, d)
}

func (l *Loop) afterLocked(project string, d time.Duration) {
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

func (l *Loop) kept(project string) *kept {
	k := l.projects[project]
	if k == nil {
		k = &kept{trials: Trials{Attempts: map[plan.ID]*Attempts{}}}
		l.projects[project] = k
	}
	return k
}

// look is a timer's event.
func (l *Loop) look(project string) {
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
func (l *Loop) heal(project string, k *kept) {
	next, known := l.turn(project, k)
	l.worked()
	l.mu.Lock()
	defer l.mu.Unlock()
	k.busy, k.yield = false, nil
	again := k.again
	k.again = false
	switch {
	case again && k.claims == 0:
		l.afterLocked(project, SettleTime)
	case next > 0 && k.claims == 0:
		l.afterLocked(project, next)
	case !known && k.claims == 0 && k.timer == nil:
		delete(l.projects, project)
	}
}

// turn heals project when its turn has come, unless a command wants it.
func (l *Loop) turn(project string, k *kept) (next time.Duration, known bool) {
	release, err := l.Turn(l.life, project)
	if err != nil {
		return 0, true // the engine ends
	}
	defer release()
	ctx, yield := context.WithCancelCause(l.life)
	defer yield(nil)
	l.mu.Lock()
	if k.claims > 0 {
		l.mu.Unlock()
		return 0, true
	}
	k.yield = yield
	if k.pardon {
		k.trials, k.pardon = Trials{Attempts: map[plan.ID]*Attempts{}}, false
	}
	l.mu.Unlock()
	return l.healer.Heal(ctx, project, &k.trials)
}

// claim says that a command wants the turn: who heals the project stops. release, when it has had it, has the project looked at.
func (l *Loop) claim(project string) (release func()) {
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
			l.afterLocked(project, SettleTime)
		}
	}
}

// Drop forgets a project that was taken down, unless another command brings it up. Precondition: the caller has the turn by a claim, or
// heals.
func (l *Loop) Drop(project string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept(project).gone = true
}

// Pardon forgets what was tried for a project: a user has brought it up anew.
func (l *Loop) Pardon(project string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	k.pardon, k.gone = true, false
}

// Idle says that no request is in flight, and nothing is being looked at or about to be.
func (l *Loop) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scanning || l.busy.Load() > 0 {
		return false
	}
	for _, k := range l.projects {
		if k.timer != nil || k.busy {
			return false
		}
	}
	return true
}

// Stop ends the loop. Precondition: life has ended.
func (l *Loop) Stop() {
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
