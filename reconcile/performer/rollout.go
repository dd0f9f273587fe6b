package performer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// rollout is one service's rolling update while it is carried out: what of it has failed. The plan says what follows from that.
type rollout struct {
	mu       sync.Mutex
	failures []failure
}

// failure is a replica that could not be replaced.
type failure struct {
	replica int
	step    int
	err     error
	fatal   bool // nothing of the update can go on without it
}

// add notes the first failure of each replica: what follows from it is none.
func (r *rollout) add(f failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.failures, func(g failure) bool { return g.replica == f.replica }) {
		r.failures = append(r.failures, f)
	}
}

func (r *rollout) list() []failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// rollout is the update of service in this pass.
func (p *Performer) rollout(service string) *rollout {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rollouts == nil {
		p.rollouts = map[string]*rollout{}
	}
	r := p.rollouts[service]
	if r == nil {
		r = new(rollout)
		p.rollouts[service] = r
	}
	return r
}

// inRollout does a step of a rolling update. What fails is the update's business: it is told once, by the step that ends it.
func (p *Performer) inRollout(ctx context.Context, s plan.Step) error {
	err := p.perform(ctx, s)
	if err == nil || ctx.Err() != nil {
		return err
	}
	switch s.Op.(type) {
	case plan.EndUpdate:
		return err
	case plan.BeginBatch:
	case plan.DeleteContainer:
		return err // it comes after the update
	default:
		f := failure{replica: s.For.Replica, step: s.ID, err: err}
		if op, ok := s.Op.(plan.RunPreStart); ok {
			f.fatal = p.onceOf(op)
		}
		p.rollout(s.Update).add(f)
	}
	return apply.Told(err)
}

// beginBatch waits for the delay between batches, and ends the update when too many have failed.
func (p *Performer) beginBatch(ctx context.Context, op plan.BeginBatch) error {
	if failed := p.rollout(op.Service).list(); len(failed) > op.Tolerate {
		return fmt.Errorf("batch %d of %s is not begun: %w", op.Number, op.Service, failed[0].err)
	}
	if op.Delay <= 0 {
		return nil
	}
	p.say(plan.KindContainer, op.Service, op.Service, event.Working, "Waiting", "the next of its containers are replaced after "+op.Delay.String())
	select {
	case <-time.After(op.Delay):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// created is the container of an operation that names one, or the one that this pass has made.
func (p *Performer) created(id, service string, replica int) string {
	if id != "" {
		return id
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made[plan.Container(service, replica)]
}

func (p *Performer) handover(ctx context.Context, op plan.Handover) error {
	to := p.created(op.ContainerID, op.Service, op.Replica)
	err := p.kit.drivers.Networks.Handover(ctx, op.From, to)
	if err != nil {
		err = fmt.Errorf("cannot hand the ports over to container %s: %w", op.Name, wording.Cause(err, to, op.Name))
		p.say(plan.KindContainer, op.Name, op.Service, event.Failed, "Error", err.Error())
		return p.at(spec.Path("services."+op.Service), err)
	}
	p.say(plan.KindContainer, op.Name, op.Service, event.Done, "Serving", "")
	return nil
}

// prove waits until a container has shown that it works. It does not poll: supervisors tell.
func (p *Performer) prove(ctx context.Context, op plan.ProveContainer) error {
	c, err := inventory.ByID(ctx, p.kit.drivers, p.created(op.ContainerID, op.Service, op.Replica))
	if err != nil {
		return fmt.Errorf("cannot watch container %s: %w", op.Name, err)
	}
	p.say(plan.KindContainer, op.Name, op.Service, event.Working, "Waiting", "")
	if c.Health != nil {
		err = p.kit.keep.Waits.For(ctx, c, await.Steady(await.Healthy))
	}
	if err == nil && (op.Throughout || c.Health == nil) {
		err = p.watch(ctx, c, op.Monitor)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.say(plan.KindContainer, op.Name, op.Service, event.Failed, "Error", wording.FirstLine(err))
		}
		return p.at(spec.Path("services."+op.Service), err)
	}
	text := "Running"
	if c.Health != nil {
		text = "Healthy"
	}
	p.say(plan.KindContainer, op.Name, op.Service, event.Done, text, "")
	return nil
}

// watch looks for a failure of c until it has run for so long.
func (p *Performer) watch(ctx context.Context, c *inventory.Container, monitor time.Duration) error {
	started := c.StartedAt
	if s, ok := p.kit.keep.Group.Status(c.ID); ok && !s.StartedAt.IsZero() {
		started = s.StartedAt
	}
	over := started.Add(monitor)
	bounded, cancel := context.WithDeadlineCause(ctx, over, await.ErrProven)
	defer cancel()
	err := p.kit.keep.Waits.For(bounded, c, await.Steady(func(c *inventory.Container, s supervise.Status) (bool, error) {
		if s.Health == health.Unhealthy {
			return await.Healthy(c, s)
		}
		return s.State == supervise.Ended || !time.Now().Before(over), nil // ended: a task that is done, else steady says so
	}))
	if errors.Is(err, await.ErrProven) && ctx.Err() == nil {
		return nil
	}
	return err
}

// endUpdate answers for what has failed: it takes back what must be taken back, and says so.
func (p *Performer) endUpdate(ctx context.Context, op plan.EndUpdate) error {
	failed := p.rollout(op.Service).list()
	if len(failed) == 0 {
		return nil
	}
	slices.SortFunc(failed, func(a, b failure) int { return a.replica - b.replica })
	undo := plan.Undo{Service: op.Service, Rollout: op.Rollback, Replicas: op.Replicas, Created: op.Created}
	tripped := op.OnFailure == plan.Continue || len(failed) > op.Tolerate || slices.ContainsFunc(failed, func(f failure) bool { return f.fatal })
	undo.All = tripped && op.OnFailure == plan.Rollback
	if !undo.All {
		undo.Replicas = nil
		for _, f := range failed {
			undo.Replicas = append(undo.Replicas, f.replica)
		}
	}
	if undo.All {
		why, _ := failed[0].text()
		p.say(plan.KindContainer, op.Service, op.Service, event.Warning, "Rolling back", why)
	}
	undone := p.takeBack(ctx, undo)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !tripped {
		for _, f := range failed {
			why, _ := f.text()
			p.say(plan.KindContainer, op.Service, op.Service, event.Warning, "Update goes on", fmt.Sprintf("%d of %d may fail: %s", op.Tolerate, len(op.Replicas), why))
		}
		return undone
	}
	outcome := fmt.Sprintf("the update is paused: %s", p.progress(op, failed))
	switch {
	case undo.All && undone != nil:
		outcome = "rolling it back has failed too: " + undone.Error()
	case undo.All:
		outcome = "the service was rolled back: its containers are those from before the update"
	case op.OnFailure == plan.Continue:
		outcome = "the update went on as failure_action says: " + p.progress(op, failed)
	case undone != nil:
		outcome += "; and " + undone.Error()
	}
	if err := p.failRollout(op.Service, undo.All && undone == nil); err != nil {
		outcome += "; and " + err.Error()
	}
	return p.at(failed[0].place(op.Service), &updateError{service: op.Service, outcome: outcome, failures: failed})
}

// progress says how far an update has come.
func (p *Performer) progress(op plan.EndUpdate, failed []failure) string {
	done := 0
	for _, n := range op.Replicas {
		p.mu.Lock()
		_, made := p.made[plan.Container(op.Service, n)]
		p.mu.Unlock()
		if made && !slices.ContainsFunc(failed, func(f failure) bool { return f.replica == n }) {
			done++
		}
	}
	return fmt.Sprintf("of %d containers %d failed and %d are new", len(op.Replicas), len(failed), done)
}

// takeBack carries out an undo.
func (p *Performer) takeBack(ctx context.Context, undo plan.Undo) error {
	have, err := inventory.Observe(ctx, p.kit.drivers, &plan.Desired{Project: p.Want.Project})
	if err != nil {
		return err
	}
	created := undo.Created
	undo.Created = nil
	for _, n := range created { // not one that was there before
		p.mu.Lock()
		_, made := p.made[plan.Container(undo.Service, n)]
		p.mu.Unlock()
		if made {
			undo.Created = append(undo.Created, n)
		}
	}
	pl := undo.Plan(p.Want.Project, have.Containers)
	do := p.kit.New(p.project, p.Want, p.sink)
	err = apply.Run(ctx, pl, do, apply.Options{})
	p.takenAway(slices.Collect(maps.Keys(do.gone))...)
	var errs []error
	for _, f := range do.rollout(undo.Service).list() {
		errs = append(errs, f.err)
	}
	return errors.Join(append(errs, err)...)
}

// updateError is the end of an update that has failed. Each failure may have a place in the file: that of the first is the error's.
type updateError struct {
	service  string
	outcome  string
	failures []failure
}

// Error is a line with cause and outcome, then the evidence.
func (e *updateError) Error() string {
	var causes, evidence []string
	for _, f := range e.failures {
		head, rest := f.text()
		causes, evidence = append(causes, head), append(evidence, rest...)
	}
	return strings.Join(append([]string{fmt.Sprintf("cannot update service %s: %s; %s", e.service, strings.Join(causes, "; "), e.outcome)}, evidence...), "\n")
}

// text is a failure's sentence, without its place in the file, and what explains it.
func (f *failure) text() (head string, rest []string) {
	var d *diag.Diagnostic
	if errors.As(f.err, &d) {
		return d.Summary, d.Notes
	}
	lines := strings.Split(f.err.Error(), "\n")
	return lines[0], lines[1:]
}

// place is where in the file the failure is, of service.
func (f *failure) place(service string) spec.Path {
	var d *diag.Diagnostic
	if errors.As(f.err, &d) && d.Address != "" {
		return spec.Path(d.Address)
	}
	return spec.Path("services." + service)
}

// stopContainer stops a container under the name that it has in this pass.
func (p *Performer) stopContainer(ctx context.Context, op plan.StopContainer, replica plan.ID) error {
	c, err := inventory.ByID(ctx, p.kit.drivers, op.ContainerID)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Name = op.Name
	if seen, ok := p.Have.StartedAt(c.ID); ok && !seen.Equal(c.StartedAt) {
		if err := p.kit.wishes.Change(p.Want.Project, func(r *wish.Record) { r.Renew(replica, seen, c.StartedAt) }); err != nil {
			return err
		}
	}
	if p.Heals {
		if err := p.kit.keep.PreStopUnasked(ctx, c); err != nil {
			return err
		}
		return p.kit.keep.StopOnly(ctx, c, op.Timeout, p.sink)
	}
	return lifecycle.HookAt(p.project, op.Service, p.kit.keep.Stop(ctx, c, op.Timeout, p.sink))
}

// failRollout records that the update of a service has failed. After a rollback the service of before is what is wished for: healing,
// a reboot and `drift` go by that.
func (p *Performer) failRollout(service string, rolledBack bool) error {
	before, err := p.kit.interim.FailRollout(p.Want.Project, service)
	if err != nil || !rolledBack || before == nil {
		return err
	}
	file, err := p.kit.wishes.File(p.Want.Project)
	if err != nil || file == nil {
		return err
	}
	file.Services[service] = before
	var encoding error
	if err := p.kit.wishes.Change(p.Want.Project, func(w *wish.Record) { encoding = w.SetFile(file) }); err != nil {
		return err
	}
	return encoding
}
