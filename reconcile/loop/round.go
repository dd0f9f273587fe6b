package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// ErrMoreDamage ends the waiting of a round of healing. Whoever sees it has been interrupted and has not failed.
var ErrMoreDamage = fmt.Errorf("something else is damaged: %w", context.Canceled)

// Round is the carrying out of one healing plan, as the loop sees it: it may be waiting for somebody to become healthy, for minutes, while other
// things break. The waiting ends then and nothing new is begun; the next round does what is left, waits for the same again, and mends the
// rest beside it. Loop.mu guards it.
type Round struct {
	waits context.Context // ends when the round is to
	end   context.CancelCauseFunc

	pending map[plan.ID]int       // steps that are still to be done, waits not counted
	held    map[plan.ID]time.Time // what is left for later, until when
	left    map[plan.ID]bool      // containers that are left unhealthy
}

// NewRound is that of pl: held is left for later, until when, left are containers that are left unhealthy.
func NewRound(pl *plan.Plan, held map[plan.ID]time.Time, left map[plan.ID]bool) *Round {
	r := &Round{pending: map[plan.ID]int{}, held: held, left: left}
	r.waits, r.end = context.WithCancelCause(context.Background())
	for _, s := range pl.Steps {
		if !Waits(s) {
			r.pending[s.For]++
		}
	}
	return r
}

// Waits says whether s is a wait for somebody.
func Waits(s plan.Step) bool {
	_, ok := s.Op.(plan.WaitReady)
	return ok
}

// Begin makes r the round of project, and has what is held looked at in its time. ended is for each step.
func (l *Loop) Begin(project string, r *Round) (ended func(plan.Step), over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	k.round = r
	if k.glances > 0 {
		k.interrupt()
	}
	l.armHeld(project, r)
	ended = func(s plan.Step) {
		if Waits(s) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		r.pending[s.For]--
	}
	over = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		r.end(nil)
		k.round = nil
	}
	return ended, over
}

// armHeld has project looked at when the next of what r leaves for later is due: there is one timer, and each look sets the next.
// Precondition: l.mu is held.
func (l *Loop) armHeld(project string, r *Round) {
	now := time.Now()
	for _, at := range r.held {
		if at.After(now) {
			l.afterLocked(project, max(at.Sub(now), SettleTime))
		}
	}
}

// InRound says whether project is being healed, by a plan that is made.
func (l *Loop) InRound(project string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.projects[project]
	return k != nil && k.round != nil
}

// Interrupt ends the waiting of project's round if pl, made of the host as it is now, has anything to do that the round has not.
func (l *Loop) Interrupt(project string, pl *plan.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.projects[project]
	if k == nil || k.round == nil || pl == nil {
		return
	}
	for _, c := range pl.Changes {
		if k.round.news(c, time.Now()) {
			k.interrupt()
			return
		}
	}
}

// interrupt ends the round. Precondition: Loop.mu is held and there is one.
func (k *kept) interrupt() {
	k.again = true
	k.round.end(ErrMoreDamage)
}

func (l *Loop) glances(project string, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.projects[project]
	if k == nil {
		return // nobody heals it, and who begins now is quick
	}
	if k.glances = max(0, k.glances+more); k.glances > 0 && k.round != nil {
		k.interrupt()
	}
}

func (r *Round) news(c plan.Change, now time.Time) bool {
	switch {
	case c.ID.Kind == plan.KindImage: // looking at the host does not look for images
		return false
	case r.pending[c.ID] > 0, r.held[c.ID].After(now):
		return false
	case r.left[c.ID]:
		return len(c.Reasons) > 1 || c.Reasons[0] != plan.Unhealthy
	}
	return true
}

// Patient is the context of a wait that ends when the round does. Without a round (nil) it is ctx.
func (r *Round) Patient(ctx context.Context) (_ context.Context, done func()) {
	if r == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.waits, func() { cancel(context.Cause(r.waits)) })
	return ctx, func() { stop(); cancel(nil) }
}

// Interrupted is ErrMoreDamage when nothing more is to be begun. A round that is nil never is.
func (r *Round) Interrupted() error {
	if r == nil || r.waits.Err() == nil {
		return nil
	}
	return context.Cause(r.waits)
}
