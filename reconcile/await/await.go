// Package await waits until containers are in a state that somebody needs (started, healthy, completed). If a
// container cannot get there any more, it says why.
package await

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Waiter waits for containers. It does not poll: supervisors tell. Safe for concurrent use.
type Waiter struct {
	drivers driver.Set
	hub     *event.Hub
	group   *supervise.Group
}

// New is one that is told by g what becomes of the containers of d, and tells h whom it waits for.
func New(d driver.Set, h *event.Hub, g *supervise.Group) *Waiter {
	return &Waiter{drivers: d, hub: h, group: g}
}

// For waits until c is what until says, or cannot be that any more, which is until's error. What it says when it fails is all that there is to know about why.
func (w *Waiter) For(ctx context.Context, c *inventory.Container, until func(*inventory.Container, supervise.Status) (bool, error)) error {
	return w.wait(ctx, c, until, waitedWord)
}

// ForEnd is For of a container that is to end well.
func (w *Waiter) ForEnd(ctx context.Context, c *inventory.Container) error {
	return w.wait(ctx, c, Completed, func(s supervise.Status) string {
		if s.State == supervise.Running {
			return "still running"
		}
		return s.State.String()
	})
}

// wait is For; word says what a container is for which it has taken too long.
func (w *Waiter) wait(ctx context.Context, c *inventory.Container, until func(*inventory.Container, supervise.Status) (bool, error), word func(supervise.Status) string) error {
	if _, known := w.group.Status(c.ID); !known {
		w.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
	}
	var last supervise.Status
	err := w.group.Await(ctx, c.ID, func(s supervise.Status) (bool, error) {
		last = s
		ok, err := until(c, s)
		if !ok && err == nil && c.Status == runtime.Paused {
			err = Paused(c) // nothing more comes of it until somebody unpauses it, and who waits for that may be who would
		}
		return ok, err
	})
	var not *NotReady
	switch {
	case errors.As(err, &not):
		return fmt.Errorf("%w%s", err, Evidence(ctx, c, last))
	case err != nil && ctx.Err() != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrProven): // it has taken too long
		if s, known := w.group.Status(c.ID); known {
			last = s // with the probes since its last change
		}
		return fmt.Errorf("%w: container %s is %s%s", err, c.Name, word(last), Evidence(ctx, c, last))
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

// NotReady says that a container cannot meet a condition any more.
type NotReady struct{ Text string }

func (e *NotReady) Error() string { return e.Text }

// Paused is the error of a wait for c, which is paused.
func Paused(c *inventory.Container) error {
	return &NotReady{fmt.Sprintf("container %s is paused: `stack unpause %s` lets it go on", c.Name, c.Service)}
}

// Healthy is a condition of For: c's health check says that it is well.
func Healthy(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case c.Health == nil:
		return false, &NotReady{fmt.Sprintf("container %s cannot become healthy: it has no healthcheck", c.Name)}
	case s.State == supervise.Running && s.Health == health.Healthy:
		return true, nil
	case s.State == supervise.Running && s.Health == health.Unhealthy:
		return false, &NotReady{fmt.Sprintf("container %s is unhealthy", c.Name)}
	case s.State == supervise.Ended:
		return false, &NotReady{fmt.Sprintf("container %s %s before it was healthy", c.Name, inventory.Ended(s))}
	}
	return false, nil
}

// Completed is a condition of For: c has exited with 0.
func Completed(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case s.Exit != nil && s.Exit.Code == 0 && s.State != supervise.Running:
		return true, nil
	case s.State == supervise.Ended && s.Exit != nil:
		return false, &NotReady{fmt.Sprintf("container %s did not complete successfully: it %s", c.Name, inventory.Ended(s))}
	case s.State == supervise.Ended:
		return false, &NotReady{fmt.Sprintf("container %s was not started", c.Name)}
	}
	return false, nil
}

// up is the condition of up --wait: running, healthy if there is a check, or ended well if it is a task.
func up(c *inventory.Container, s supervise.Status) (bool, error) {
	switch {
	case s.State == supervise.Ended && s.Exit != nil && s.Exit.Code == 0:
		return true, nil
	case s.State == supervise.Ended:
		return false, &NotReady{fmt.Sprintf("container %s %s", c.Name, inventory.Ended(s))}
	case s.State == supervise.Running && c.Health == nil:
		return true, nil
	case c.Health != nil:
		return Healthy(c, s)
	}
	return false, nil
}

// provenTime is how long a container without a healthcheck has run before --wait takes it for up: a program that ends as
// soon as it has read its settings has been running too. docker compose looks for the first time after as long.
const provenTime = 500 * time.Millisecond

// settled waits until a container is up, and stays so for provenTime if nothing else says that it works. It does not
// poll: what a restart policy brings up again has its time anew.
func (w *Waiter) settled(ctx context.Context, c *inventory.Container) error {
	if c.Status == runtime.Paused { // it was healthy perhaps, and is not up
		return Paused(c)
	}
	for {
		if err := w.For(ctx, c, up); err != nil || c.Health != nil {
			return err
		}
		s, _ := w.group.Status(c.ID)
		left := time.Until(s.StartedAt.Add(provenTime))
		if s.State == supervise.Running && left > 0 {
			bounded, cancel := context.WithTimeoutCause(ctx, left, ErrProven)
			err := w.group.Await(bounded, c.ID, func(now supervise.Status) (bool, error) {
				return now.State != supervise.Running || now.Run != s.Run, nil
			})
			cancel()
			if err != nil && !errors.Is(err, ErrProven) {
				return err
			}
			continue
		}
		if up, err := up(c, s); up || err != nil { // what has ended meanwhile is not up
			return err
		}
	}
}

// Late says that a wait has come to its bound.
type Late struct{ After time.Duration }

// Error is docker compose's sentence.
func (e *Late) Error() string { return fmt.Sprintf("application not healthy after %s", e.After) }

// Services waits until the containers of the services that chosen says yes to are up, and tells sink of each; the first that cannot be ends it. timeout 0 = none.
func (w *Waiter) Services(ctx context.Context, project string, chosen func(string) bool, timeout time.Duration, sink event.Sink) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, &Late{timeout})
		defer cancel()
	}
	list, err := inventory.List(ctx, w.drivers, project)
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
			w.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Working, Text: "Waiting"})
			if err := w.settled(ctx, c); err != nil {
				fail(err) // the first that cannot become ready ends the wait of all
				return err
			}
			text := "Started"
			if c.Health != nil {
				text = "Healthy"
			} else if s, _ := w.group.Status(c.ID); s.State == supervise.Ended {
				text = "Exited"
			}
			w.hub.Say(sink, event.Event{Project: project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: text, Awaited: true})
			return nil
		})
	}
	return work.Wait()
}

// ErrProven ends a watch in which nothing has happened.
var ErrProven = errors.New("it has run long enough")

// Steady is until for a container that must not end, whatever its restart policy does about it.
func Steady(until func(*inventory.Container, supervise.Status) (bool, error)) func(*inventory.Container, supervise.Status) (bool, error) {
	return func(c *inventory.Container, s supervise.Status) (bool, error) {
		switch {
		case s.State == supervise.Ended && s.Exit != nil && s.Exit.Code == 0:
		case s.State == supervise.Ended || s.State == supervise.Backoff || s.Restarts > 0:
			return false, &NotReady{fmt.Sprintf("container %s %s", c.Name, inventory.Ended(s))}
		case s.State == supervise.Stopping:
			return false, &NotReady{fmt.Sprintf("container %s is being stopped", c.Name)}
		}
		return until(c, s)
	}
}

// evidenceLines is how much of a log evidence shows.
const evidenceLines = 20

// Evidence of c, whose supervisor says s.
func Evidence(ctx context.Context, c *inventory.Container, s supervise.Status) *ask.Evidence {
	v := &ask.Evidence{Exit: c.Exit, Probes: inventory.ProbeResults(s.Results)}
	if x := s.Exit; v.Exit == nil && x != nil { // it runs again
		v.Exit = &process.Exit{Code: x.Code, OOM: x.OOM, FinishedAt: x.At, Error: x.Error}
	}
	if r, ok := LastProbe(s); ok {
		v.Telling = &inventory.ProbeResults([]health.Result{r})[0]
	}
	v.Log = output.LastLines(context.WithoutCancel(ctx), c, evidenceLines)
	return v
}

// LastProbe is the last health check that says something of why a container is not healthy: not one that was cut off by the
// container's end.
func LastProbe(s supervise.Status) (health.Result, bool) {
	for _, r := range slices.Backward(s.Results) {
		if r.Code == 0 {
			return r, false
		}
		if s.State == supervise.Running || s.Exit == nil || r.End.Before(s.Exit.At) {
			return r, true
		}
	}
	return health.Result{}, false
}
