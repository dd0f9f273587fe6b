package healing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// wanted is what a record asks for.
func (d *Healer) wanted(project string, r *wish.Record) (*plan.Desired, error) {
	p, err := wish.FileOf(project, r)
	if err != nil {
		return nil, err
	}
	want, err := d.planner.Desire(p, ask.UpOptions{Scale: r.Scale})
	return want, err
}

// healOptions ask for what r wishes and no more.
func healOptions(r *wish.Record, want *plan.Desired) plan.Options {
	services := slices.DeleteFunc(r.Wanted(), func(s string) bool { return want.Services[s] == nil }) // an orphan that was started
	return plan.Options{Heal: true, Services: services, NoDeps: true, Off: r.AllOff(), Owed: r.Owed(), Hold: map[plan.ID]bool{}}
}

// Heal looks at a project and puts right what is damaged or missing of what its users have asked for. It says when to look again (0 =
// when something happens), and whether the project is known at all.
// Precondition: the project's turn is held.
func (d *Healer) Heal(ctx context.Context, project string, k *loop.Trials) (next time.Duration, known bool) {
	r, err := d.wishes.Of(project)
	if r == nil && err == nil {
		return 0, false
	}
	if err == nil && r.Pass != nil {
		if err = d.commands.Resume(ctx, project, r.Pass); err == nil {
			r, err = d.wishes.Of(project)
		}
	}
	if err == nil && r != nil {
		err = d.leaveToPolicies(ctx, project, r)
	}
	if err == nil && r != nil {
		next, err = d.healOnce(ctx, project, r, k)
	}
	if err == nil || ctx.Err() != nil {
		k.Looked()
		return next, true
	}
	text := err.Error()
	next, news := k.Failed(text)
	if news {
		d.hub.Say(nil, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "Cannot be kept as it should be", Detail: text})
		d.log.Warn("cannot keep the project as it should be", "project", project, "error", text)
	}
	return next, true
}

func (d *Healer) healOnce(ctx context.Context, project string, r *wish.Record, k *loop.Trials) (next time.Duration, _ error) {
	p, err := wish.FileOf(project, r)
	if err != nil {
		return 0, err
	}
	want, err := d.planner.Desire(p, ask.UpOptions{Scale: r.Scale})
	if err != nil {
		return 0, err
	}
	// A file that cannot be read any more fails the one that is made of it, when that is made.
	_ = desire.DigestFiles(p, want)
	if err := d.keep.RemoveVanished(ctx, project); err != nil {
		return 0, err
	}
	have, err := d.planner.Observe(ctx, want)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	d.judge(project, have, k, now)
	opt := healOptions(r, want)
	held, left := map[plan.ID]time.Time{}, map[plan.ID]bool{}
	for id, a := range k.Attempts {
		left[id] = a.Spent
		if a.Next.After(now) {
			opt.Hold[id], held[id] = true, a.Next
			next = shorter(next, a.Next.Sub(now))
		}
	}
	pl, said := plan.Build(want, have, opt)
	if err := said.Err(); err != nil {
		position.Fill(p, said)
		return 0, said.Err()
	}
	if next > 0 && !d.waiting(want, have, opt, pl) {
		next = 0 // those that have to wait need nothing
	}
	if err := d.payOff(project, r, have, pl); err != nil {
		return 0, err
	}
	if pl.Empty() {
		return next, nil
	}
	if err := d.owe(project, pl, have); err != nil {
		return 0, err
	}
	do := d.kit.New(p, want, nil)
	do.Have, do.Heals, do.Round = have, true, loop.NewRound(pl, held, left)
	if err := d.treat(ctx, &treatment{d: d, plan: pl, do: do, k: k}); err != nil {
		return 0, err
	}
	for _, c := range pl.Changes {
		if a := k.Attempts[c.ID]; a != nil && a.Next.After(now) {
			next = shorter(next, max(time.Until(a.Next), loop.SettleTime))
		}
	}
	return next, nil
}

// waiting says whether more is to be done than pl does, later.
func (d *Healer) waiting(want *plan.Desired, have *plan.Observed, opt plan.Options, pl *plan.Plan) bool {
	opt.Hold = nil
	all, _ := plan.Build(want, have, opt)
	return all != nil && len(all.Steps) > len(pl.Steps)
}

// shorter is the shorter of two delays, of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// judge takes in who is well, and takes those out of have that are left unhealthy.
func (d *Healer) judge(project string, have *plan.Observed, k *loop.Trials, now time.Time) {
	for i := range have.Containers {
		c := &have.Containers[i]
		a := k.Attempts[plan.Container(c.Service, c.Replica)]
		if c.OneOff || a == nil {
			continue
		}
		s, _ := d.group.Status(c.ID)
		a.Seen(c.Status == plan.StatusRunning && !c.Unhealthy && c.Problem == "" && c.NetworkProblem == "" && (s.Health == "" || c.Healthy), now)
		if !c.Unhealthy || a.Unhealthy < loop.MaxUnhealthy {
			continue
		}
		c.Unhealthy = false
		if !a.Spent {
			a.Spent = true
			detail := fmt.Sprintf("it was restarted %d times and is unhealthy still", a.Unhealthy)
			if r, ok := await.LastProbe(s); ok {
				detail += fmt.Sprintf("; its health check exits with code %d: %s", r.Code, plaintext.Output(strings.TrimSpace(r.Output)))
			}
			d.hub.Say(nil, event.Event{Project: project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Warning, Text: "Left unhealthy", Detail: detail})
			d.log.Warn("left unhealthy", "project", project, "container", c.Name, "why", detail)
		}
	}
	for name, n := range have.Networks {
		if a := k.Attempts[plan.ID{Kind: plan.KindNetwork, Name: name}]; a != nil {
			a.Seen(n.Problem == "", now)
		}
	}
	for name, v := range have.Volumes {
		if a := k.Attempts[plan.ID{Kind: plan.KindVolume, Name: name}]; a != nil {
			a.Seen(v.Problem == "", now)
		}
	}
}

// treatment is the carrying out of one plan.
type treatment struct {
	d    *Healer
	plan *plan.Plan
	do   *performer.Performer
	k    *loop.Trials
}

// owe records which containers pl stops to start them again: if that does not come to its end, because what they need cannot be started, say,
// they have not ended by themselves.
func (d *Healer) owe(project string, pl *plan.Plan, have *plan.Observed) error {
	owed := pl.Interrupts(have)
	if len(owed) == 0 {
		return nil
	}
	return d.wishes.Change(project, func(r *wish.Record) { r.Owe(owed) })
}

// treat says what is damaged, mends it, and says what has come of it. A part that fails does not keep the others from being mended; it
// is tried again later.
func (d *Healer) treat(ctx context.Context, h *treatment) error {
	h.do.Quiet = true // what fails again has been told
	for _, c := range h.plan.Changes {
		if a := h.k.Attempts[c.ID]; a != nil && (a.Told != "" || a.Begun) {
			continue
		}
		h.do.Quiet = false
		d.tell(h.plan.Project, c, event.Warning, "Damaged", why(c))
		d.log.Warn("damaged", "project", h.plan.Project, "kind", c.ID.Kind, "name", c.Name, "why", why(c), "action", c.Action)
	}
	outcomes := make(chan outcome, len(h.plan.Steps))
	ended, over := d.loop.Begin(h.plan.Project, h.do.Round)
	defer over()
	err := apply.Run(ctx, h.plan, h.do, apply.Options{Ended: func(s plan.Step, o apply.Outcome, err error) {
		outcomes <- outcome{s, o, err}
		ended(s)
	}})
	d.memory.Remember(h.plan.Project, h.do.Starts(h.plan), false)
	if ctx.Err() != nil {
		return nil // a command has the turn, or the engine ends: nothing is known of what would have come of it
	}
	close(outcomes)
	failed := map[plan.ID]error{}
	undone := map[plan.ID]bool{} // for the next round, which begins at once
	interrupted := h.do.Round.Interrupted() != nil
	for o := range outcomes {
		if o.outcome != apply.Succeeded && interrupted && (o.err == nil || errors.Is(o.err, loop.ErrMoreDamage)) {
			undone[o.step.For] = undone[o.step.For] || !loop.Waits(o.step)
		} else if o.err != nil {
			failed[o.step.For] = o.err
		} else if o.outcome != apply.Succeeded && failed[o.step.For] == nil {
			failed[o.step.For] = fmt.Errorf("something that it needs has failed: %s", wording.FirstLine(err))
		}
	}
	unmended := map[plan.ID]bool{} // the next plan restarts them
	for _, s := range h.plan.Steps {
		switch op := s.Op.(type) {
		case plan.MendNetwork:
			unmended[s.For] = unmended[s.For] || d.roster.Stubborn(op.ContainerID)
		case plan.MendContainer:
			unmended[s.For] = unmended[s.For] || d.roster.Stubborn(op.ContainerID)
		}
	}
	var paid []plan.ID
	for _, c := range h.plan.Changes {
		if unmended[c.ID] {
			continue
		}
		if undone[c.ID] && failed[c.ID] == nil {
			h.attempts(c).Begun = true
			continue
		}
		if failed[c.ID] == nil {
			paid = append(paid, c.ID)
		}
		a := h.attempts(c)
		a.Begin(time.Now(), c.Reasons)
		h.report(c, a, failed[c.ID])
	}
	return d.wishes.Change(h.plan.Project, func(r *wish.Record) { r.Settle(paid...) })
}

// attempts are those of c.
func (h *treatment) attempts(c plan.Change) *loop.Attempts {
	a := h.k.Attempts[c.ID]
	if a == nil {
		a = new(loop.Attempts)
		h.k.Attempts[c.ID] = a
	}
	return a
}

type outcome struct {
	step    plan.Step
	outcome apply.Outcome
	err     error
}

// report tells of one change: of a failure once, not in each round.
func (h *treatment) report(c plan.Change, a *loop.Attempts, failure error) {
	project := h.plan.Project
	if failure == nil {
		a.Told = ""
		if c.ID.Kind != plan.KindContainer || !h.checked(c) {
			a.Well = time.Now()
		}
		h.d.tell(project, c, event.Done, "Healed", why(c))
		h.d.log.Info("healed", "project", project, "kind", c.ID.Kind, "name", c.Name, "action", c.Action)
		return
	}
	text := wording.FirstLine(failure)
	if text == a.Told {
		return
	}
	a.Told = text
	h.d.tell(project, c, event.Warning, "Not healed", text+"; it is tried again, less and less often")
	h.d.log.Warn("not healed", "project", project, "kind", c.ID.Kind, "name", c.Name, "error", failure)
}

// checked says whether the container of c has a health check, which says when it is well.
func (h *treatment) checked(c plan.Change) bool {
	s := h.do.Want.Services[c.ID.Name]
	return s != nil && s.Spec.HealthCheck != nil
}

func (d *Healer) tell(project string, c plan.Change, phase event.Phase, text, detail string) {
	ev := event.Event{Project: project, Kind: string(c.ID.Kind), Name: c.Name, Phase: phase, Text: text, Detail: detail}
	if c.ID.Kind == plan.KindContainer {
		ev.Service = c.ID.Name
	}
	d.hub.Say(nil, ev)
}

func why(c plan.Change) string {
	parts := make([]string, len(c.Reasons))
	for i, r := range c.Reasons {
		parts[i] = wording.Redact(r).String()
	}
	return strings.Join(parts, "; ")
}

// payOff takes those from what is owed that run and are not to be stopped: a daemon that died before it stopped them has left them there, and
// when they end by themselves one day, that is their policy's matter. One that has been told to stop, by a command that did not wait for it, may end
// of that yet, or has since have was read.
func (d *Healer) payOff(project string, r *wish.Record, have *plan.Observed, pl *plan.Plan) error {
	mended := map[plan.ID]bool{}
	for _, c := range pl.Changes {
		mended[c.ID] = true
	}
	var paid []plan.ID
	for i := range have.Containers {
		c := &have.Containers[i]
		id := plan.Container(c.Service, c.Replica)
		if _, owed := r.Owed()[id]; owed && !c.OneOff && c.Active() && !mended[id] && !d.keep.Stopping(c.ID) {
			paid = append(paid, id)
		}
	}
	if len(paid) == 0 {
		return nil
	}
	return d.wishes.Change(project, func(r *wish.Record) { r.Settle(paid...) })
}

// Postpone leaves c, which has ended, to its policy when the command that was cut short has come to its end.
func (d *Healer) Postpone(c *inventory.Container) {
	d.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.postponed == nil {
		d.postponed = map[string][]string{}
	}
	d.postponed[c.Project] = append(d.postponed[c.Project], c.ID)
}

// leaveToPolicies is for the containers of project that adopt has postponed and that still do not run.
// Precondition: the project's turn is held, and r has no Pass.
func (d *Healer) leaveToPolicies(ctx context.Context, project string, r *wish.Record) error {
	d.mu.Lock()
	ids := d.postponed[project]
	delete(d.postponed, project)
	d.mu.Unlock()
	for _, id := range ids {
		c, err := inventory.ByID(ctx, d.drivers, id)
		switch {
		case errors.Is(err, errdefs.ErrNotFound): // made anew
		case err != nil:
			return err
		case c.Status == runtime.Stopped && c.Exit != nil && d.PolicyDecides(c, r):
			d.group.Resume(c.ID, c.Supervision(), c.StartedAt, *inventory.ExitOf(c.Exit))
		}
	}
	return nil
}

// PolicyDecides says whether c, which has ended, is its restart policy's: no user has stopped it, and the loop is not about to
// start it, in its order.
func (d *Healer) PolicyDecides(c *inventory.Container, r *wish.Record) bool {
	return r == nil || !r.IsOff(c.Replica()) && (d.loop.Off() || inventory.Lost(c.Exit) == "" || !r.Wants(c.Service))
}
