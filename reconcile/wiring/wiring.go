// Package wiring connects a container, at each start, to what may be different at each start: its networks, the
// namespaces and volumes of other containers, and names of the host.
package wiring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/grant"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/roster"
)

// Wiring connects containers. Safe for concurrent use; of one container it is the matter of who has its lock.
type Wiring struct {
	drivers  driver.Set
	networks Networks
	roster   *roster.Roster
}

// Networks makes networks that belong to no file. *resource.Networks does.
type Networks interface {
	// Ensure makes sure that they are there and whole.
	Ensure(ctx context.Context, names []string) error
}

// New is that of the containers of d. n makes the networks that belong to no file; r is told in whose namespaces somebody lives.
func New(d driver.Set, n Networks, r *roster.Roster) *Wiring {
	return &Wiring{drivers: d, networks: n, roster: r}
}

// ByContainer is the prefix of a namespace mode that names a container.
const ByContainer = "container:"

// Connect makes the container's sandbox and writes what it finds out into the container's record.
// Precondition: the container's lock is held and it does not run.
func (w *Wiring) Connect(ctx context.Context, c *inventory.Container) error {
	if c.Config == nil {
		return fmt.Errorf("its record cannot be read: %w", errdefs.ErrNotFound)
	}
	n, err := w.sandbox(ctx, c)
	if err != nil {
		return err
	}
	if err := w.join(ctx, c, &n); err != nil {
		return err
	}
	if n.Inherited, err = w.volumesFrom(ctx, c); err != nil {
		return err
	}
	extra, err := w.ExtraHosts(ctx, &c.Spec)
	if err != nil {
		return err
	}
	n.Extra = append(n.Extra, extra...)
	links, err := w.linkedHosts(ctx, c)
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
	if cfg.Mounts, err = w.drivers.Volumes.Prepare(ctx, cfg.Mounts); err != nil {
		return err
	}
	if err := w.drivers.Containers.Replace(ctx, cfg); err != nil {
		return err
	}
	c.Config = &cfg
	return nil
}

// hostResolvConf is what a container on the host's network resolves with.
const hostResolvConf = "/etc/resolv.conf"

func (w *Wiring) sandbox(ctx context.Context, c *inventory.Container) (bundle.Net, error) {
	if host, ok := strings.CutPrefix(c.Spec.NetworkMode, "service:"); ok {
		return w.shareNetwork(ctx, c, host)
	}
	if ref, ok := strings.CutPrefix(c.Spec.NetworkMode, ByContainer); ok {
		owner, err := w.runningByRef(ctx, ref)
		if err != nil {
			return bundle.Net{}, fmt.Errorf("cannot join the network of container %s: %w", ref, err)
		}
		return w.networkWithNames(ctx, owner, ref)
	}
	if c.Spec.NetworkMode == "host" {
		raw, err := os.ReadFile(hostResolvConf)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return bundle.Net{}, fmt.Errorf("cannot read the host's %s: %w", hostResolvConf, err)
		}
		return bundle.Net{Host: true, ResolvConf: string(raw)}, nil
	}
	cfg, err := Sandbox(c)
	if err == nil && c.Alone != nil {
		err = w.networks.Ensure(ctx, slices.Sorted(maps.Keys(c.Spec.Networks)))
	}
	if err != nil {
		return bundle.Net{}, err
	}
	box, err := w.drivers.Networks.Setup(ctx, cfg)
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
func (w *Wiring) shareNetwork(ctx context.Context, c *inventory.Container, host string) (bundle.Net, error) {
	owner, err := w.firstRunning(ctx, c.Project, host)
	if err != nil {
		return bundle.Net{}, fmt.Errorf("cannot join the network of service %s: %w", host, err)
	}
	return w.networkWithNames(ctx, owner, host)
}

// networkWithNames is networkOf with what owner is called there.
func (w *Wiring) networkWithNames(ctx context.Context, owner *inventory.Container, host string) (bundle.Net, error) {
	n, err := w.networkOf(ctx, owner, host)
	if err != nil {
		return bundle.Net{}, err
	}
	extra, err := w.ExtraHosts(ctx, &owner.Spec)
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
func (w *Wiring) networkOf(ctx context.Context, owner *inventory.Container, host string) (bundle.Net, error) {
	if strings.HasPrefix(owner.Spec.NetworkMode, "service:") || strings.HasPrefix(owner.Spec.NetworkMode, ByContainer) || owner.Spec.NetworkMode == "host" {
		return w.sandbox(ctx, owner)
	}
	boxes, err := w.drivers.Networks.Sandboxes(ctx)
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
func (w *Wiring) join(ctx context.Context, c *inventory.Container, n *bundle.Net) error {
	for _, ns := range []struct {
		mode, kind string
		into       *string
	}{{c.Spec.PID, "pid", &n.PIDPath}, {c.Spec.IPC, "ipc", &n.IPCPath}} {
		var owner *inventory.Container
		var err error
		if host, ok := strings.CutPrefix(ns.mode, "service:"); ok {
			if owner, err = w.firstRunning(ctx, c.Project, host); err != nil {
				return fmt.Errorf("cannot join the %s namespace of service %s: %w", ns.kind, host, err)
			}
			w.roster.Share(owner.ID)
		} else if ref, ok := strings.CutPrefix(ns.mode, ByContainer); ok {
			if owner, err = w.runningByRef(ctx, ref); err != nil {
				return fmt.Errorf("cannot join the %s namespace of container %s: %w", ns.kind, ref, err)
			}
		} else {
			continue
		}
		if ns.kind == "pid" {
			if err := w.untraced(ctx, c, owner); err != nil {
				return fmt.Errorf("cannot join the pid namespace of container %s: %w", owner.Name, err)
			}
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

func (w *Wiring) firstRunning(ctx context.Context, project, service string) (*inventory.Container, error) {
	list, err := inventory.List(ctx, w.drivers, project)
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

// ExtraHosts resolves host-gateway.
func (w *Wiring) ExtraHosts(ctx context.Context, s *plan.Spec) ([]network.HostsEntry, error) {
	return grant.Hosts(ctx, w.drivers.Networks, s.ExtraHosts, slices.Sorted(maps.Keys(s.Networks)))
}

// JoinedAsMeant says whether the containers whose namespaces c was started in are still the ones that it was to join. A namespace is named by
// /proc/PID: a process that ended before c opened that may have left its number to another. One that runs now with the number and the start
// time that it had before has not.
func (w *Wiring) JoinedAsMeant(ctx context.Context, c *inventory.Container) error {
	for _, owner := range c.Joined {
		now, err := w.drivers.Containers.State(ctx, owner.ID)
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			return err
		}
		if err != nil || now.Pid != owner.Pid || now.PidStart != owner.PidStart {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot join the namespaces of container %s: it ended while this one was started", objectid.Short(owner.ID)))
		}
	}
	return nil
}

// Rewire puts c, which runs, on the networks of its spec.
func (w *Wiring) Rewire(ctx context.Context, c *inventory.Container) error {
	cfg, err := Sandbox(c)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	if err := w.networks.Ensure(ctx, slices.Sorted(maps.Keys(c.Spec.Networks))); err != nil {
		return err
	}
	_, err = w.drivers.Networks.Rewire(ctx, cfg)
	return err
}

// runningByRef is byRef of one in whose namespaces another is to live.
func (w *Wiring) runningByRef(ctx context.Context, ref string) (*inventory.Container, error) {
	c, err := inventory.ByRef(ctx, w.drivers, ref)
	if err == nil && !c.Alive() {
		err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s is not running", c.Name))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}
