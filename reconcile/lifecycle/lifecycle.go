package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
)

// Start gives a container its network and starts it. A container that runs is success. Its error says why, not of which
// container.
func (k *Keeper) Start(ctx context.Context, id string, sink event.Sink) error {
	return k.StartBeside(ctx, id, "", sink)
}

// StartBeside is start of a container whose names and ports another one has until a Handover; "" = nobody.
func (k *Keeper) StartBeside(ctx context.Context, id, beside string, sink event.Sink) error {
	c, fresh, err := k.startOnly(ctx, id, beside, sink)
	if err != nil || !fresh {
		return err
	}
	k.Forward.Report(ctx, c, sink, true)
	return k.postStart(ctx, c, sink)
}

// startOnly is StartBeside without what follows a start. fresh: the container did not run before.
func (k *Keeper) startOnly(ctx context.Context, id, beside string, sink event.Sink) (_ *inventory.Container, fresh bool, err error) {
	unlock, err := k.Locks.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	c, err := inventory.ByID(ctx, k.drivers, id)
	if err != nil {
		return nil, false, err
	}
	c.Beside = beside
	if c.Alive() {
		k.Watch(c, c.StartedAt, false)
		return c, false, nil
	}
	return c, true, wording.Cause(k.startLocked(ctx, c, sink), id, c.Name)
}

// startLocked starts c, which does not run. Precondition: the container's lock is held.
func (k *Keeper) startLocked(ctx context.Context, c *inventory.Container, sink event.Sink) error {
	id := c.ID
	k.Group.Stop(id) // a restart that is due would come on top
	at := chronicle.Times{Begin: history.Now()}
	absent := AbsentSources(c.Spec.Mounts)
	if err := k.wiring.Connect(ctx, c); err != nil {
		return err
	}
	k.tellSources(c, absent, sink)
	at.Connected = history.Now()
	s, err := k.launch(ctx, c)
	if err != nil {
		// Why it did not start is on record as an end, which who asks for the last one is told.
		if failed, err := inventory.ByID(context.WithoutCancel(ctx), k.drivers, id); err == nil {
			k.Group.Known(id, c.Supervision(), inventory.ExitOf(failed.Exit))
		}
		if c.Spec.NetworkMode == "" || c.Spec.NetworkMode == "none" {
			_ = k.drivers.Networks.Teardown(context.WithoutCancel(ctx), id) // the start's own error says more
		}
		return err
	}
	k.warn(c, s.Warnings, sink)
	at.Started = history.Now()
	k.Memory.SetTimes(id, at)
	k.Watch(c, s.StartedAt, false)
	return nil
}

// warn tells what was asked for and could not be given to a container.
func (k *Keeper) warn(c *inventory.Container, warnings []string, sink event.Sink) {
	for _, w := range warnings {
		k.hub.Say(sink, event.Event{Project: c.Project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Warning, Text: "Not as asked for", Detail: w})
	}
}

// Watch hands a running container to its supervisor.
func (k *Keeper) Watch(c *inventory.Container, at time.Time, byPolicy bool) {
	k.roster.Started(c)
	if at.IsZero() {
		at = time.Now()
	}
	k.Group.Started(c.ID, c.Supervision(), at, byPolicy)
	k.Forward.Begin(c)
	k.keepRoom(c)
}

// Stop ends a container as its file says, its pre_stop hooks first, and takes its sandbox down. Not running = success. A hook that fails keeps the
// container running, as with docker compose.
func (k *Keeper) Stop(ctx context.Context, c *inventory.Container, timeout *time.Duration, sink event.Sink) error {
	if err := k.PreStop(ctx, c, sink); err != nil {
		err = fmt.Errorf("cannot stop container %s: %w", c.Name, err)
		k.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	return k.StopOnly(ctx, c, timeout, sink)
}

// StopOnly is Stop without hooks. One that has gone meanwhile, with its end say, is one that does not run.
func (k *Keeper) StopOnly(ctx context.Context, c *inventory.Container, timeout *time.Duration, sink event.Sink) error {
	sig := c.StopSignal()
	if timeout != nil && *timeout == 0 {
		sig = unix.SIGKILL
	}
	return k.tellStop(c, sig, sink, func(begun func()) error { return k.end(ctx, c, 0, timeout, begun) })
}

// StopBy is StopOnly by another signal than the container's own. What has not ended after grace is killed; nil = the container's own.
func (k *Keeper) StopBy(ctx context.Context, c *inventory.Container, sig unix.Signal, grace *time.Duration, sink event.Sink) error {
	return k.tellStop(c, sig, sink, func(begun func()) error { return k.end(ctx, c, sig, grace, begun) })
}

// tellStop tells of a stop of c by sig, which stop does: it calls begun when it begins to, and when it returns the end has been told.
func (k *Keeper) tellStop(c *inventory.Container, sig unix.Signal, sink event.Sink, stop func(begun func()) error) error {
	began := false // else nothing has been told that could have failed
	err := stop(func() {
		began = true
		ev := c.Event(event.Working, "Stopping", "")
		ev.Signal = unix.SignalName(sig)
		k.hub.Say(sink, ev)
	})
	if err != nil {
		if began {
			k.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		}
		return err
	}
	k.hub.Say(sink, c.Event(event.Done, "Stopped", ""))
	return nil
}

// FinishKill waits for the end of c after a Kill with SIGKILL, which has told of it, and takes its sandbox down.
func (k *Keeper) FinishKill(ctx context.Context, c *inventory.Container) error {
	return k.end(ctx, c, 0, new(time.Duration), func() {})
}

// end ends the run of c by sig (0 = its own signal), calling begun when it begins to, and takes its sandbox down. That it has ended has been told when it returns.
func (k *Keeper) end(ctx context.Context, c *inventory.Container, sig unix.Signal, timeout *time.Duration, begun func()) error {
	unlock, err := k.Locks.Lock(ctx, c.ID)
	if err != nil {
		return err
	}
	err = k.endLocked(ctx, c, sig, timeout, begun)
	unlock()
	k.Group.Told(c.ID)
	return err
}

// endLocked is end until there is nothing to be done. Precondition: the container's lock is held.
func (k *Keeper) endLocked(ctx context.Context, c *inventory.Container, sig unix.Signal, timeout *time.Duration, begun func()) error {
	begun()
	k.Group.Stop(c.ID)
	grace := time.Duration(-1)
	if timeout != nil {
		grace = *timeout
	}
	exit, err := k.drivers.Containers.StopBy(ctx, c.ID, sig, grace)
	switch {
	case err == nil:
		k.Group.Stopped(c.ID, *inventory.ExitOf(&exit))
	case !errors.Is(err, errdefs.ErrNotFound): // else whoever waits for its end tells of it
		return fmt.Errorf("cannot stop container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return k.teardown(context.WithoutCancel(ctx), c)
}

func (k *Keeper) teardown(ctx context.Context, c *inventory.Container) error {
	if err := k.drivers.Networks.Teardown(ctx, c.ID); err != nil {
		return fmt.Errorf("cannot take down the network of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}

// Remove deletes a stopped container and what is its own; its anonymous volumes too when volumes says so.
func (k *Keeper) Remove(ctx context.Context, c *inventory.Container, volumes bool, sink event.Sink) error {
	unlock, err := k.Locks.Lock(ctx, c.ID)
	if err != nil {
		return err
	}
	defer unlock()
	k.hub.Say(sink, c.Event(event.Working, "Removing", ""))
	err = k.RemoveSteps(ctx, c)
	if err == nil {
		err = k.RemoveParts(ctx, c, volumes, sink)
	}
	if err != nil {
		err = fmt.Errorf("cannot remove container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		k.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	k.hub.Say(sink, c.Event(event.Done, "Removed", ""))
	return nil
}

// RemoveParts: the container last but for its volumes, so that what is half removed is still found. Volumes after it,
// because they are not removed while somebody has them.
func (k *Keeper) RemoveParts(ctx context.Context, c *inventory.Container, volumes bool, sink event.Sink) error {
	k.Group.Stop(c.ID)
	k.Forward.Finish(ctx, c, sink)
	if c.Alone != nil {
		if err := k.alone.BeginRemoval(c.ID, c.Alone, volumes); err != nil {
			return err
		}
	}
	if err := k.drivers.Networks.Teardown(ctx, c.ID); err != nil {
		return err
	}
	discarded := k.discarding(c, volumes)
	if err := k.drivers.Containers.Delete(ctx, c.ID); err != nil {
		return err
	}
	defer k.forget(c.ID) // who waits for it to be gone finds nothing of it
	if err := k.drivers.Images.Remove(ctx, c.ID); err != nil {
		return err
	}
	if volumes {
		if err := k.volumes.DeleteAnonymous(ctx, c); err != nil {
			return err
		}
	}
	if c.Alone == nil {
		return discarded()
	}
	return k.alone.Forget(c.ID)
}

// forget drops what is in memory of a container that is gone.
func (k *Keeper) forget(id string) {
	k.Group.Forget(id)
	k.Memory.ForgetRun(id)
	k.roster.Forget(id)
}

// StatusOf is what the supervisor knows of c, or what the host does.
func (k *Keeper) StatusOf(c *inventory.Container) supervise.Status {
	if s, ok := k.Group.Status(c.ID); ok {
		return s
	}
	s := supervise.Status{StartedAt: c.StartedAt, Exit: inventory.ExitOf(c.Exit)}
	if c.Alive() {
		s.State = supervise.Running
	}
	return s
}

// RemoveVanished takes away what somebody who deleted a container's record has left of it: its processes, its namespace, its snapshot. They are
// in the way of the one that is made in its place.
func (k *Keeper) RemoveVanished(ctx context.Context, project string) error {
	list, err := inventory.List(ctx, k.drivers, project)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range list {
		there[c.ID] = true
	}
	for _, id := range k.roster.Vanished(project, there) {
		if err := k.clearAway(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) clearAway(ctx context.Context, id string) error {
	unlock, err := k.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	n, known := k.roster.Get(id)
	if !known {
		return nil // it was being removed by a command
	}
	k.Group.Stop(id)
	k.Forward.Drop(id)
	err = errors.Join(k.drivers.Containers.Delete(ctx, id), k.drivers.Networks.Teardown(ctx, id))
	if err == nil {
		err = k.drivers.Images.Remove(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("cannot clear away what is left of container %s, whose record is gone: %w", n.Name, wording.Cause(err, id, n.Name))
	}
	k.forget(id)
	return nil
}

// AtRest ends the supervision of a container that is to go, and what its policy has started since it was seen ended. timeout is Stop's, and so is what becomes of one whose
// pre_stop refuses: it runs on, and its policy holds.
func (k *Keeper) AtRest(ctx context.Context, id string, timeout *time.Duration, sink event.Sink) (*inventory.Container, error) {
	c, err := k.CallOff(ctx, id)
	if err == nil && c.Alive() {
		err = k.Stop(ctx, c, timeout, sink)
	}
	return c, err
}

// CallOff looks at container id; where it does not run, its policy does not start it any more.
func (k *Keeper) CallOff(ctx context.Context, id string) (*inventory.Container, error) {
	unlock, err := k.Locks.Lock(ctx, id) // a restart under way holds it
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := inventory.ByID(ctx, k.drivers, id)
	if errors.Is(err, errdefs.ErrNotFound) || err == nil && !c.Alive() {
		k.Group.Stop(id)
	}
	return c, err
}

// Supervised adds to have what is not on the host but in memory.
func (k *Keeper) Supervised(have *plan.Observed) {
	for i := range have.Containers {
		c := &have.Containers[i]
		s, ok := k.Group.Status(c.ID)
		if !ok {
			continue
		}
		c.Healthy = c.Status == plan.StatusRunning && s.Health == health.Healthy // of one that has ended it says how it was
		// One that was told to stop and runs on may be wished for: whoever was to start it again has given that up, or is no more.
		c.Unhealthy = c.Status == plan.StatusRunning && (s.State == supervise.Running || s.State == supervise.Stopping) && s.Health == health.Unhealthy
		switch {
		case s.State == supervise.Backoff && c.Status == plan.StatusExited:
			c.Status = plan.StatusRestarting
		case s.State == supervise.Backoff && c.Status == plan.StatusCreated:
			c.Status, c.StartedAt = plan.StatusRestarting, s.StartedAt
		case c.Status != plan.StatusCreated || s.Run == 0:
		// One that has run has no run on record while it is started again, and was looked at then.
		case s.State == supervise.Running, s.State == supervise.Stopping:
			c.Status, c.StartedAt = plan.StatusRunning, s.StartedAt
		case s.State == supervise.Ended && s.Exit != nil: // again, by now
			c.Status, c.ExitCode, c.StartedAt = plan.StatusExited, s.Exit.Code, s.StartedAt
		}
		c.MustRestart = c.MustRestart || k.roster.Stubborn(c.ID)
	}
}

// Leaving are those of have, as a command that wishes for them has just seen it, which ran and were told to stop, and take their time: they are owed a start when they have ended. lasting, by
// id, are the others that ran: who is told to stop while the command is under way is CalledOff.
func (k *Keeper) Leaving(have *plan.Observed) (owed plan.Debts, lasting map[string]plan.ID) {
	owed, lasting = plan.Debts{}, map[string]plan.ID{}
	for i := range have.Containers {
		switch c := &have.Containers[i]; {
		case c.OneOff || !c.Active():
		case k.Stopping(c.ID):
			owed[plan.Container(c.Service, c.Replica)] = plan.Debt{Run: c.StartedAt}
		default:
			lasting[c.ID] = plan.Container(c.Service, c.Replica)
		}
	}
	return owed, lasting
}

// CalledOff are those of ran, containers by id which a command has found running that wishes for them, or has started, that were told to stop since: by a kill, which waits for nobody, if r
// says that they are off. It has the last word. So are those of have, as the command has found them, that were killed while another daemon carried it out, and that it has not started.
func (k *Keeper) CalledOff(ran map[string]plan.ID, have *plan.Observed, r *wish.Record) map[plan.ID]bool {
	off := map[plan.ID]bool{}
	if r.Pass != nil {
		for i := range have.Containers {
			if c := &have.Containers[i]; !c.OneOff && c.CalledOff(r.Pass.Starts) {
				off[plan.Container(c.Service, c.Replica)] = true
			}
		}
	}
	for _, replica := range ran {
		delete(off, replica)
	}
	for id, replica := range ran {
		if r.IsOff(replica) && k.Stopping(id) {
			off[replica] = true
		}
	}
	return off
}

// Stopping says whether container id, which somebody has seen running, has been told to stop: its stop was given up and it takes its time, or it has ended of it since it was seen.
func (k *Keeper) Stopping(id string) bool {
	s, _ := k.Group.Status(id)
	return s.State == supervise.Stopping || s.State == supervise.Ended && s.Asked
}
