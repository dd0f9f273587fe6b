package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wording"
)

// start gives a container its network and starts it. A container that runs is success. Its error says why, not of which
// container.
func (e *Engine) start(ctx context.Context, id string, sink event.Sink) error {
	return e.startBeside(ctx, id, "", sink)
}

// startBeside is start of a container whose names and ports another one has until a Handover; "" = nobody.
func (e *Engine) startBeside(ctx context.Context, id, beside string, sink event.Sink) error {
	c, fresh, err := e.startOnly(ctx, id, beside, sink)
	if err != nil || !fresh {
		return err
	}
	return e.postStart(ctx, c, sink)
}

// startOnly is startBeside without what follows a start. fresh: the container did not run before.
func (e *Engine) startOnly(ctx context.Context, id, beside string, sink event.Sink) (_ *inventory.Container, fresh bool, err error) {
	unlock, err := e.single.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	c, err := inventory.ByID(ctx, e.drivers, id)
	if err != nil {
		return nil, false, err
	}
	c.Beside = beside
	if c.Alive() {
		e.watch(c, c.StartedAt, false)
		return c, false, nil
	}
	return c, true, wording.Cause(e.startLocked(ctx, c, sink), id, c.Name)
}

// startLocked starts c, which does not run. Precondition: the container's lock is held.
func (e *Engine) startLocked(ctx context.Context, c *inventory.Container, sink event.Sink) error {
	id := c.ID
	e.group.Stop(id) // a restart that is due would come on top
	at := chronicle.Times{Begin: history.Now()}
	if err := e.wiring.Connect(ctx, c); err != nil {
		return err
	}
	at.Connected = history.Now()
	s, err := e.launch(ctx, c)
	if err != nil {
		if c.Spec.NetworkMode == "" || c.Spec.NetworkMode == "none" {
			_ = e.drivers.Networks.Teardown(context.WithoutCancel(ctx), id) // the start's own error says more
		}
		return err
	}
	e.warn(c, s.Warnings, sink)
	at.Started = history.Now()
	e.memory.SetTimes(id, at)
	e.watch(c, s.StartedAt, false)
	return nil
}

// warn tells what was asked for and could not be given to a container.
func (e *Engine) warn(c *inventory.Container, warnings []string, sink event.Sink) {
	for _, w := range warnings {
		e.hub.Say(sink, event.Event{Project: c.Project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Warning, Text: "Not as asked for", Detail: w})
	}
}

// watch hands a running container to its supervisor.
func (e *Engine) watch(c *inventory.Container, at time.Time, byPolicy bool) {
	e.roster.Started(c)
	if at.IsZero() {
		at = time.Now()
	}
	e.group.Started(c.ID, c.Supervision(), at, byPolicy)
}

// stop ends a container as its file says, its pre_stop hooks first, and takes its sandbox down. Not running = success. A hook that fails keeps the
// container running, as with docker compose.
func (e *Engine) stop(ctx context.Context, c *inventory.Container, timeout *time.Duration, sink event.Sink) error {
	if err := e.preStop(ctx, c, sink); err != nil {
		err = fmt.Errorf("cannot stop container %s: %w", c.Name, err)
		e.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	return e.stopOnly(ctx, c, timeout, sink)
}

// stopOnly is stop without hooks: a kill.
func (e *Engine) stopOnly(ctx context.Context, c *inventory.Container, timeout *time.Duration, sink event.Sink) error {
	unlock, err := e.single.Lock(ctx, c.ID)
	if err != nil {
		return err
	}
	defer unlock()
	e.hub.Say(sink, c.Event(event.Working, "Stopping", ""))
	e.group.Stop(c.ID)
	grace := time.Duration(-1)
	if timeout != nil {
		grace = *timeout
	}
	exit, err := e.drivers.Containers.Stop(ctx, c.ID, grace)
	if err != nil {
		err = fmt.Errorf("cannot stop container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		e.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	e.group.Stopped(c.ID, *inventory.ExitOf(&exit))
	if err := e.teardown(context.WithoutCancel(ctx), c); err != nil {
		e.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	e.hub.Say(sink, c.Event(event.Done, "Stopped", ""))
	return nil
}

func (e *Engine) teardown(ctx context.Context, c *inventory.Container) error {
	if err := e.drivers.Networks.Teardown(ctx, c.ID); err != nil {
		return fmt.Errorf("cannot take down the network of container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	return nil
}

// remove deletes a stopped container and what is its own; its anonymous volumes too when volumes says so.
func (e *Engine) remove(ctx context.Context, c *inventory.Container, volumes bool, sink event.Sink) error {
	unlock, err := e.single.Lock(ctx, c.ID)
	if err != nil {
		return err
	}
	defer unlock()
	e.hub.Say(sink, c.Event(event.Working, "Removing", ""))
	err = e.removeSteps(ctx, c)
	if err == nil {
		err = e.removeParts(ctx, c, volumes)
	}
	if err != nil {
		err = fmt.Errorf("cannot remove container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
		e.hub.Say(sink, c.Event(event.Failed, "Error", err.Error()))
		return err
	}
	e.hub.Say(sink, c.Event(event.Done, "Removed", ""))
	return nil
}

// removeParts: the container last but for its volumes, so that what is half removed is still found. Volumes after it,
// because they are not removed while somebody has them.
func (e *Engine) removeParts(ctx context.Context, c *inventory.Container, volumes bool) error {
	e.group.Stop(c.ID)
	if c.Alone != nil {
		if err := e.alone.BeginRemoval(c.ID, c.Alone, volumes); err != nil {
			return err
		}
	}
	if err := e.drivers.Networks.Teardown(ctx, c.ID); err != nil {
		return err
	}
	if err := e.drivers.Containers.Delete(ctx, c.ID); err != nil {
		return err
	}
	defer e.forget(c.ID) // who waits for it to be gone finds nothing of it
	if err := e.drivers.Images.Remove(ctx, c.ID); err != nil {
		return err
	}
	if volumes {
		if err := e.volumes.DeleteAnonymous(ctx, c); err != nil {
			return err
		}
	}
	if c.Alone == nil {
		return nil
	}
	return e.alone.Forget(c.ID)
}

// forget drops what is in memory of a container that is gone.
func (e *Engine) forget(id string) {
	e.group.Forget(id)
	e.memory.ForgetRun(id)
	e.roster.Forget(id)
}

// statusOf is what the supervisor knows of c, or what the host does.
func (e *Engine) statusOf(c *inventory.Container) supervise.Status {
	if s, ok := e.group.Status(c.ID); ok {
		return s
	}
	s := supervise.Status{StartedAt: c.StartedAt, Exit: inventory.ExitOf(c.Exit)}
	if c.Alive() {
		s.State = supervise.Running
	}
	return s
}
