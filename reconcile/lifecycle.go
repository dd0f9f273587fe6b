package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/grant"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
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
	if err := e.connect(ctx, c); err != nil {
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

// connect makes the container's sandbox and writes what it finds out into the container's record.
// Precondition: the container's lock is held and it does not run.
func (e *Engine) connect(ctx context.Context, c *inventory.Container) error {
	if c.Config == nil {
		return fmt.Errorf("its record cannot be read: %w", errdefs.ErrNotFound)
	}
	n, err := e.sandbox(ctx, c)
	if err != nil {
		return err
	}
	if err := e.join(ctx, c, &n); err != nil {
		return err
	}
	if n.Inherited, err = e.volumesFrom(ctx, c); err != nil {
		return err
	}
	extra, err := e.extraHosts(ctx, &c.Spec)
	if err != nil {
		return err
	}
	n.Extra = append(n.Extra, extra...)
	links, err := e.linkedHosts(ctx, c)
	if err != nil {
		return err
	}
	n.Extra = append(n.Extra, links...)
	if c.Spec.Hostname != "" {
		n.Shared = nil
	}
	if n.Hostname, err = grant.Hostname(); err != nil {
		return err
	}
	cfg := bundle.Connect(*c.Config, n)
	if cfg.Mounts, err = e.drivers.Volumes.Locate(ctx, cfg.Mounts); err != nil {
		return err
	}
	return e.drivers.Containers.Replace(ctx, cfg)
}

// hostResolvConf is what a container on the host's network resolves with.
const hostResolvConf = "/etc/resolv.conf"

func (e *Engine) sandbox(ctx context.Context, c *inventory.Container) (bundle.Net, error) {
	if host, ok := strings.CutPrefix(c.Spec.NetworkMode, "service:"); ok {
		return e.shareNetwork(ctx, c, host)
	}
	if ref, ok := strings.CutPrefix(c.Spec.NetworkMode, byContainer); ok {
		owner, err := e.runningByRef(ctx, ref)
		if err != nil {
			return bundle.Net{}, fmt.Errorf("cannot join the network of container %s: %w", ref, err)
		}
		return e.networkWithNames(ctx, owner, ref)
	}
	if c.Spec.NetworkMode == "host" {
		raw, err := os.ReadFile(hostResolvConf)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return bundle.Net{}, fmt.Errorf("cannot read the host's %s: %w", hostResolvConf, err)
		}
		return bundle.Net{Host: true, ResolvConf: string(raw)}, nil
	}
	cfg, err := sandboxConfig(c)
	if err == nil && c.Alone != nil {
		err = e.networks.Ensure(ctx, slices.Sorted(maps.Keys(c.Spec.Networks)))
	}
	if err != nil {
		return bundle.Net{}, err
	}
	box, err := e.drivers.Networks.Setup(ctx, cfg)
	if err != nil {
		return bundle.Net{}, err
	}
	return netOf(box), nil
}

func netOf(box network.Sandbox) bundle.Net {
	n := bundle.Net{Path: box.Path, ResolvConf: box.ResolvConf}
	for _, ep := range box.Endpoints {
		for _, a := range []netip.Prefix{ep.Addr4, ep.Addr6} {
			if a.IsValid() {
				n.Addrs = append(n.Addrs, a.Addr())
			}
		}
	}
	return n
}

// shareNetwork finds the sandbox of the first running container of service host, and what goes with it: docker gives all that live in one
// network the same hosts file, resolver and names (moby, daemon/container_operations.go, initializeNetworking).
func (e *Engine) shareNetwork(ctx context.Context, c *inventory.Container, host string) (bundle.Net, error) {
	owner, err := e.firstRunning(ctx, c.Project, host)
	if err != nil {
		return bundle.Net{}, fmt.Errorf("cannot join the network of service %s: %w", host, err)
	}
	return e.networkWithNames(ctx, owner, host)
}

// networkWithNames is networkOf with what owner is called there.
func (e *Engine) networkWithNames(ctx context.Context, owner *inventory.Container, host string) (bundle.Net, error) {
	n, err := e.networkOf(ctx, owner, host)
	if err != nil {
		return bundle.Net{}, err
	}
	extra, err := e.extraHosts(ctx, &owner.Spec)
	if err != nil {
		return bundle.Net{}, err
	}
	n.Extra = append(n.Extra, extra...)
	if owner.Config != nil && owner.Config.Spec.Hostname != "" {
		n.Shared = &bundle.Names{Host: owner.Config.Spec.Hostname, Domain: owner.Config.Spec.Domainname}
	}
	return n, nil
}

// networkOf is the network of owner, a running container of service host, or the one that is named so.
func (e *Engine) networkOf(ctx context.Context, owner *inventory.Container, host string) (bundle.Net, error) {
	if strings.HasPrefix(owner.Spec.NetworkMode, "service:") || strings.HasPrefix(owner.Spec.NetworkMode, byContainer) || owner.Spec.NetworkMode == "host" {
		return e.sandbox(ctx, owner)
	}
	boxes, err := e.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return bundle.Net{}, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	for _, box := range boxes {
		if box.ContainerID == owner.ID {
			return netOf(box), nil
		}
	}
	return bundle.Net{}, fmt.Errorf("cannot join the network of service %s: container %s has none", host, owner.Name)
}

// join finds the pid and ipc namespaces of other services, or containers, that c is to live in.
func (e *Engine) join(ctx context.Context, c *inventory.Container, n *bundle.Net) error {
	for _, ns := range []struct {
		mode, kind string
		into       *string
	}{{c.Spec.PID, "pid", &n.PIDPath}, {c.Spec.IPC, "ipc", &n.IPCPath}} {
		var owner *inventory.Container
		var err error
		if host, ok := strings.CutPrefix(ns.mode, "service:"); ok {
			if owner, err = e.firstRunning(ctx, c.Project, host); err != nil {
				return fmt.Errorf("cannot join the %s namespace of service %s: %w", ns.kind, host, err)
			}
			e.roster.Share(owner.ID)
		} else if ref, ok := strings.CutPrefix(ns.mode, byContainer); ok {
			if owner, err = e.runningByRef(ctx, ref); err != nil {
				return fmt.Errorf("cannot join the %s namespace of container %s: %w", ns.kind, ref, err)
			}
		} else {
			continue
		}
		*ns.into = fmt.Sprintf("/proc/%d/ns/%s", owner.Pid, ns.kind)
		n.Owners = append(n.Owners, owner.ID)
		c.Joined = append(c.Joined, owner.State)
		if ns.kind == "ipc" {
			n.SharedDir = fmt.Sprintf("/proc/%d/root/dev/shm", owner.Pid)
		}
	}
	return nil
}

func (e *Engine) firstRunning(ctx context.Context, project, service string) (*inventory.Container, error) {
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if c.Service == service && !c.OneOff && c.Alive() {
			return c, nil
		}
	}
	return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("service %s has no running container", service))
}

// extraHosts resolves host-gateway.
func (e *Engine) extraHosts(ctx context.Context, s *plan.Spec) ([]network.HostsEntry, error) {
	return grant.Hosts(ctx, e.drivers.Networks, s.ExtraHosts, slices.Sorted(maps.Keys(s.Networks)))
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
