package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// runner is keep as supervise's Runner.
type runner struct{ *Keeper }

// Wait returns the end of a container's current run.
func (e runner) Wait(ctx context.Context, id string) (supervise.Exit, error) {
	x, err := e.drivers.Containers.Wait(ctx, id)
	if err != nil {
		return supervise.Exit{}, err
	}
	return *inventory.ExitOf(&x), nil
}

var errNotWanted = errors.New("it is not wanted any more")

// Restart starts a container as its policy says. Its sandbox is still there, so that its addresses stay; one that
// is gone is made anew.
func (e runner) Restart(ctx context.Context, id string, wanted func() bool) error {
	c, fresh, err := e.restartOnly(ctx, id, wanted)
	if noRoom(err) {
		return errdefs.With(supervise.ErrNoRoom, err)
	}
	if err != nil || !fresh {
		return err
	}
	// It runs: what its hooks say decides about no restart.
	if err := e.postStart(ctx, c, nil); err != nil && ctx.Err() == nil {
		e.hub.Say(nil, c.Event(event.Warning, "Hook failed", err.Error()))
	}
	return nil
}

// restartOnly is Restart without what follows a start. fresh: the container did not run before.
func (e runner) restartOnly(ctx context.Context, id string, wanted func() bool) (_ *inventory.Container, fresh bool, err error) {
	unlock, err := e.Locks.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if !wanted() {
		return nil, false, errNotWanted
	}
	c, err := inventory.ByID(ctx, e.drivers, id)
	if err != nil {
		return nil, false, err
	}
	if c.Alive() {
		e.Watch(c, c.StartedAt, true)
		return c, false, nil
	}
	if err := e.wiring.Connect(ctx, c); err != nil {
		return c, false, wording.Cause(err, id, c.Name)
	}
	s, err := e.launch(ctx, c)
	if err != nil {
		return c, false, wording.Cause(err, id, c.Name)
	}
	e.Watch(c, s.StartedAt, true)
	return c, true, nil
}

// Probe runs a health check, with at most its timeout.
func (e runner) Probe(ctx context.Context, id string, c health.Check) (health.Result, error) {
	out := &head{max: health.MaxOutput}
	r := health.Result{Start: time.Now(), Early: !e.serves(ctx, id, &c)}
	// The driver kills the process at the timeout; the context only guards against a driver that does not answer.
	bound, cancel := context.WithTimeout(ctx, c.Timeout+5*time.Second)
	defer cancel()
	exit, err := e.drivers.Containers.Exec(bound, id, runtime.Process{Args: c.Args, Timeout: c.Timeout}, process.IO{Stdout: out, Stderr: out})
	if err != nil || exit.Code != 0 {
		if s, failed := e.drivers.Containers.State(ctx, id); failed == nil && s.Status == runtime.Paused {
			return r, supervise.ErrPaused
		}
	}
	if err != nil {
		n, _ := e.roster.Get(id)
		err = wording.Cause(err, id, n.Name)
	}
	r.End, r.Code, r.Output = time.Now(), exit.Code, out.String()
	if err == nil && exit.Code != 0 && r.End.Sub(r.Start) >= c.Timeout {
		r.Output += fmt.Sprintf("\n(killed: it took longer than its timeout of %s)", c.Timeout)
	}
	return r, err
}

// serves says whether container id listens where c expects it to. Before the probe, so that whoever answers the probe is who listens. Where it cannot be found
// out, the probe alone decides.
func (e runner) serves(ctx context.Context, id string, c *health.Check) bool {
	if len(c.Ports) == 0 {
		return true
	}
	if s, ok := e.Group.Status(id); ok && !s.HealthyAt.IsZero() {
		return true // what it was asked for is known
	}
	ports, err := e.drivers.Containers.Listening(ctx, id)
	return err != nil || c.Serves(ports)
}

// head keeps the first bytes that are written to it.
type head struct {
	mu  sync.Mutex
	max int
	buf bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Write(p[:min(len(p), h.max-h.buf.Len())])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

// Changed tells listeners, and takes down what a container that has ended for good leaves.
func (e runner) Changed(id string, change supervise.Change, s supervise.Status) {
	if change == supervise.ChangeExited || change == supervise.ChangeStopped {
		e.Forward.Ended(id, func() bool { return e.ended(id) })
	}
	n, there, gone := e.roster.Find(id)
	shared := e.roster.Shared(id)
	if !there && !(gone && (change == supervise.ChangeExited || change == supervise.ChangeStopped)) {
		return
	}
	if n.Step { // who runs it tells what becomes of it
		if change == supervise.ChangeExited {
			e.afterEnd(id)
		}
		return
	}
	ev := event.Event{Project: n.Project, Kind: "container", Name: n.Name, ID: id, Service: n.Service, Phase: event.Done}
	switch change {
	case supervise.ChangeStarted:
		if shared {
			e.follows.Go(func() { e.follow(id, s) })
		}
		if s.Restarts == 0 {
			return // whoever started it has told
		}
		e.turns.Kick(n.Project) // others may wait for it
		ev.Text, ev.ByPolicy = "Restarted", true
	case supervise.ChangeExited, supervise.ChangeStopped, supervise.ChangeRestarting:
		defer e.turns.Kick(n.Project) // also of one that was stopped: whoever stopped it may wait no longer, and who has the turn now may have seen it run
		// A daemon tells of an end that none has seen, and of others once more: the time says which it is.
		ev.Text, ev.Exit, ev.Time = "Exited", &s.Exit.Code, s.Exit.At
		if s.Exit.Code != 0 {
			ev.Detail = inventory.Ended(s)
		}
		e.hub.Say(nil, ev)
		if change == supervise.ChangeExited {
			e.afterEnd(id)
		}
		if change != supervise.ChangeRestarting {
			return
		}
		ev.Text, ev.Phase, ev.Exit, ev.Time = "Restarting", event.Working, nil, time.Time{}
	case supervise.ChangeHealth:
		defer e.turns.Kick(n.Project)
		switch s.Health {
		case health.Healthy:
			ev.Text = "Healthy"
			e.Memory.BecameHealthy(id, n.Project, n.Name)
		case health.Unhealthy:
			ev.Text, ev.Phase = "Unhealthy", event.Warning
			if k := len(s.Results); k > 0 {
				ev.Detail = s.Results[k-1].Output
			}
		}
	}
	e.hub.Say(nil, ev)
}

// ended says whether container id does not run, and is not about to be started by its policy.
func (k *Keeper) ended(id string) bool {
	s, _ := k.Group.Status(id) // of one that is gone it is the same
	return s.State == supervise.Ended
}

// afterEnd takes the sandbox of a container down that has ended by itself and is not started again.
func (k *Keeper) afterEnd(id string) {
	if k.roster.Held(id) {
		return
	}
	ctx := context.Background() // it must be done whoever has given up waiting; each driver call is bounded by itself
	unlock, err := k.Locks.Lock(ctx, id)
	if err != nil {
		return
	}
	defer func() { unlock() }()
	if s, ok := k.Group.Status(id); !ok || s.State != supervise.Ended {
		return // started again, or deleted, in the meantime
	}
	c, err := inventory.ByID(ctx, k.drivers, id)
	if errors.Is(err, errdefs.ErrNotFound) {
		return
	}
	if err == nil && c.Alive() {
		return
	}
	if c != nil && (c.OneOff || c.Alone != nil) && c.Remove {
		unlock()
		_ = k.Remove(ctx, c, true, nil) // told as events; the next adopt tries again
		unlock = func() {}
		return
	}
	if err := k.drivers.Networks.Teardown(ctx, id); err != nil {
		n, _ := k.roster.Get(id)
		k.hub.Say(nil, event.Event{Project: n.Project, Kind: "container", Name: n.Name, Service: n.Service, Phase: event.Warning, Text: "Network not taken down", Detail: err.Error()})
	}
}

var _ supervise.Runner = runner{}
