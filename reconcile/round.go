package reconcile

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
)

// errMoreDamage ends the waiting of a round of healing. Whoever sees it has been interrupted and has not failed.
var errMoreDamage = fmt.Errorf("something else is damaged: %w", context.Canceled)

// round is the carrying out of one healing plan, as the loop sees it: it may be waiting for somebody to become healthy, for minutes, while other
// things break. The waiting ends then and nothing new is begun; the next round does what is left, waits for the same again, and mends the
// rest beside it. loop.mu guards it.
type round struct {
	waits context.Context // ends when the round is to
	end   context.CancelCauseFunc

	pending map[plan.ID]int       // steps that are still to be done, waits not counted
	held    map[plan.ID]time.Time // what is left for later, until when
	left    map[plan.ID]bool      // containers that are left unhealthy
}

func newRound(pl *plan.Plan, held map[plan.ID]time.Time, left map[plan.ID]bool) *round {
	r := &round{pending: map[plan.ID]int{}, held: held, left: left}
	r.waits, r.end = context.WithCancelCause(context.Background())
	for _, s := range pl.Steps {
		if !waits(s) {
			r.pending[s.For]++
		}
	}
	return r
}

func waits(s plan.Step) bool {
	_, ok := s.Op.(plan.WaitReady)
	return ok
}

// begin makes r the round of project, and has what is held looked at in its time. ended is for each step.
func (l *loop) begin(project string, r *round) (ended func(plan.Step), over func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	k.round = r
	if k.glances > 0 {
		k.interrupt()
	}
	l.armHeld(project, r)
	ended = func(s plan.Step) {
		if waits(s) {
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
func (l *loop) armHeld(project string, r *round) {
	now := time.Now()
	for _, at := range r.held {
		if at.After(now) {
			l.afterLocked(project, max(at.Sub(now), settleTime))
		}
	}
}

// inRound says whether project is being healed, by a plan that is made.
func (l *loop) inRound(project string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.projects[project]
	return k != nil && k.round != nil
}

// interrupt ends the waiting of project's round if pl, made of the host as it is now, has anything to do that the round has not.
func (l *loop) interrupt(project string, pl *plan.Plan) {
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

// interrupt ends the round. Precondition: loop.mu is held and there is one.
func (k *kept) interrupt() {
	k.again = true
	k.round.end(errMoreDamage)
}

// glance is turn for who only looks, or has little to do. A healing that waits lets it through, and goes on waiting afterwards.
func (e *Engine) glance(ctx context.Context, project string) (release func(), err error) {
	e.loop.glances(project, 1)
	defer e.loop.glances(project, -1)
	return e.turn(ctx, project)
}

func (l *loop) glances(project string, more int) {
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

func (r *round) news(c plan.Change, now time.Time) bool {
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

// patient is the context of a wait that ends when the round does. Without a round it is ctx.
func (p *performer) patient(ctx context.Context) (_ context.Context, done func()) {
	if p.round == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.round.waits, func() { cancel(context.Cause(p.round.waits)) })
	return ctx, func() { stop(); cancel(nil) }
}

// interrupted is errMoreDamage when nothing more is to be begun.
func (p *performer) interrupted() error {
	if p.round == nil || p.round.waits.Err() == nil {
		return nil
	}
	return context.Cause(p.round.waits)
}

// payOff takes those from what is owed that run and are not to be stopped: a daemon that died before it stopped them has left them there, and
// when they end by themselves one day, that is their policy's matter. One that has been told to stop, by a command that did not wait for it, may end
// of that yet.
func (e *Engine) payOff(project string, r *wish.Record, have *plan.Observed, pl *plan.Plan) error {
	paid := map[plan.ID]bool{}
	for i := range have.Containers {
		c := &have.Containers[i]
		id := plan.Container(c.Service, c.Replica)
		if !c.OneOff && c.Active() && r.Owed[id] && !e.stopping(c.ID) {
			paid[id] = true
		}
	}
	for _, c := range pl.Changes {
		delete(paid, c.ID)
	}
	if len(paid) == 0 {
		return nil
	}
	return e.wishes.Change(project, func(r *wish.Record) {
		maps.DeleteFunc(r.Owed, func(id plan.ID, _ bool) bool { return paid[id] })
	})
}
