package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// waitReady waits until every container of a service meets a condition. It does not poll: supervisors tell.
func (p *performer) waitReady(ctx context.Context, op plan.WaitReady) error {
	ctx, done := p.round.Patient(ctx)
	defer done()
	list, err := inventory.List(ctx, p.e.drivers, p.want.Project)
	if err != nil {
		return err
	}
	var work errgroup.Group
	for _, c := range list {
		if c.Service == op.Service && !c.OneOff && !c.Spare && (op.Replicas == nil || slices.Contains(op.Replicas, c.Number)) {
			work.Go(func() error { return p.waitOne(ctx, c, op) })
		}
	}
	err = work.Wait()
	if err != nil && op.Optional && ctx.Err() == nil {
		p.say(plan.KindContainer, op.Service, op.Service, event.Warning, "Optional dependency failed", err.Error())
		return nil
	}
	return position.At(p.project, spec.Path("services."+op.Service), err)
}

func (p *performer) waitOne(ctx context.Context, c *inventory.Container, op plan.WaitReady) error {
	p.say(plan.KindContainer, c.Name, c.Service, event.Working, "Waiting", "")
	until := untilHealthy
	done := "Healthy"
	if op.Condition == plan.Completed {
		until, done = untilCompleted, "Exited"
	}
	if err := p.e.waitFor(ctx, c, until); err != nil {
		if ctx.Err() == nil {
			p.say(plan.KindContainer, c.Name, c.Service, event.Failed, "Error", wording.FirstLine(err))
		}
		return err
	}
	if s, ok := p.e.group.Status(c.ID); ok {
		p.mu.Lock()
		p.probes[op.Service] = max(p.probes[op.Service], s.HealthyProbes)
		p.mu.Unlock()
	}
	p.e.hub.Say(p.sink, event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: done, Awaited: true})
	return nil
}

// waitFor waits for a container. What it says when it fails is all that there is to know about why.
func (e *Engine) waitFor(ctx context.Context, c *inventory.Container, until func(*inventory.Container, supervise.Status) (bool, error)) error {
	if _, known := e.group.Status(c.ID); !known {
		e.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	}
	var last supervise.Status
	err := e.group.Await(ctx, c.ID, func(s supervise.Status) (bool, error) {
		last = s
		ok, err := until(c, s)
		if !ok && err == nil && c.Status == runtime.Paused {
			err = isPaused(c) // nothing more comes of it until somebody unpauses it, and who waits for that may be who would
		}
		return ok, err
	})
	var not *notReady
	switch {
	case errors.As(err, &not):
		return fmt.Errorf("%w%s", err, e.evidence(ctx, c, last))
	case err != nil && ctx.Err() != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errProven): // it has taken too long
		if s, known := e.group.Status(c.ID); known {
			last = s // with the probes since its last change
		}
		return fmt.Errorf("%w: container %s is %s%s", err, c.Name, waitedWord(last), e.evidence(ctx, c, last))
	}
	return err
}

// waitedWord is what a container is that somebody has waited for too long.
func waitedWord(s supervise.Status) string {
	if s.State == supervise.Running && s.Health != "" {
		return map[health.Status]string{health.Starting: "not healthy yet", health.Healthy: "healthy", health.Unhealthy: "unhealthy"}[s.Health]
	}
	return s.State.String()
}

// notReady says that a container cannot meet a condition any more.
type notReady struct{ text string }

func (e *notReady) Error() string { return e.text }

func isPaused(c *inventory.Container) error {
	return &notReady{fmt.Sprintf("container %s is paused: `stack unpause %s` lets it go on", c.Name, c.Service)}
}

func untilHealthy(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case c.Health == nil:
		return false, &notReady{fmt.Sprintf("container %s cannot become healthy: it has no healthcheck", c.Name)}
	case s.State == supervise.Running && s.Health == health.Healthy:
		return true, nil
	case s.State == supervise.Running && s.Health == health.Unhealthy:
		return false, &notReady{fmt.Sprintf("container %s is unhealthy", c.Name)}
	case s.State == supervise.Ended:
		return false, &notReady{fmt.Sprintf("container %s %s before it was healthy", c.Name, inventory.Ended(s))}
	}
	return false, nil
}

func untilCompleted(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case s.Exit != nil && s.Exit.Code == 0 && s.State != supervise.Running:
		return true, nil
	case s.State == supervise.Ended && s.Exit != nil:
		return false, &notReady{fmt.Sprintf("container %s did not complete successfully: it %s", c.Name, inventory.Ended(s))}
	case s.State == supervise.Ended:
		return false, &notReady{fmt.Sprintf("container %s was not started", c.Name)}
	}
	return false, nil
}

// untilUp is the condition of up --wait: running, healthy if there is a check, or ended well if it is a task.
func untilUp(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case s.State == supervise.Ended && s.Exit != nil && s.Exit.Code == 0:
		return true, nil
	case s.State == supervise.Ended:
		return false, &notReady{fmt.Sprintf("container %s %s", c.Name, inventory.Ended(s))}
	case s.State == supervise.Running && c.Health == nil:
		return true, nil
	case c.Health != nil:
		return untilHealthy(c, s)
	}
	return false, nil
}

// waitUp is up --wait.
func (e *Engine) waitUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, sink event.Sink) error {
	chosen := map[string]bool{}
	for _, name := range want.Selected(o.Services, o.NoDeps) {
		chosen[name] = true
	}
	return e.waitServices(ctx, p.Name, func(service string) bool { return chosen[service] }, o.WaitTimeout, sink)
}

// provenTime is how long a container without a healthcheck has run before --wait takes it for up: a program that ends as
// soon as it has read its settings has been running too. docker compose looks for the first time after as long.
const provenTime = 500 * time.Millisecond

// waitSettled waits until a container is up, and stays so for provenTime if nothing else says that it works. It does not
// poll: what a restart policy brings up again has its time anew.
func (e *Engine) waitSettled(ctx context.Context, c *inventory.Container) error {
	if c.Status == runtime.Paused { // it was healthy perhaps, and is not up
		return isPaused(c)
	}
	for {
		if err := e.waitFor(ctx, c, untilUp); err != nil || c.Health != nil {
			return err
		}
		s, _ := e.group.Status(c.ID)
		left := time.Until(s.StartedAt.Add(provenTime))
		if s.State == supervise.Running && left > 0 {
			bounded, cancel := context.WithTimeoutCause(ctx, left, errProven)
			err := e.group.Await(bounded, c.ID, func(now supervise.Status) (bool, error) {
				return now.State != supervise.Running || now.Run != s.Run, nil
			})
			cancel()
			if err != nil && !errors.Is(err, errProven) {
				return err
			}
			continue
		}
		if up, err := untilUp(c, s); up || err != nil { // what has ended meanwhile is not up
			return err
		}
	}
}

// notHealthyAfter is docker compose's sentence.
func notHealthyAfter(timeout time.Duration) error {
	return fmt.Errorf("application not healthy after %s", timeout)
}

func (e *Engine) waitServices(ctx context.Context, project string, chosen func(string) bool, timeout time.Duration, sink event.Sink) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, notHealthyAfter(timeout))
		defer cancel()
	}
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var work errgroup.Group
	for _, c := range list {
		if c.OneOff || c.Spare || !chosen(c.Service) {
			continue
		}
		work.Go(func() error {
			e.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Working, Text: "Waiting"})
			if err := e.waitSettled(ctx, c); err != nil {
				fail(err) // the first that cannot become ready ends the wait of all
				return err
			}
			text := "Started"
			if c.Health != nil {
				text = "Healthy"
			} else if s, _ := e.group.Status(c.ID); s.State == supervise.Ended {
				text = "Exited"
			}
			e.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: text, Awaited: true})
			return nil
		})
	}
	return work.Wait()
}
