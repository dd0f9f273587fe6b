package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/rtnl"
)

// Mend repairs the sandbox of a running container in place: the container keeps its processes and its addresses. c is what Setup was given.
// nsPath is a /proc/PID/ns/net that the caller knows to be the container's; from it the file of the namespace is bound again where that is
// gone. The networks must be whole: Create mends them. What processes of the container have added to its namespace stays.
//
// Errors: ErrConflict when the sandbox was set up with another configuration, ErrInvalidArgument when nsPath is the host's own namespace,
// ErrNotFound when a network does not exist. Idempotent.
func (d *Driver) Mend(ctx context.Context, c SandboxConfig, nsPath string) (Sandbox, error) {
	if err := c.Check(); err != nil {
		return Sandbox{}, err
	}
	defer d.lock("sandbox " + c.ContainerID)()
	fail := func(err error) (Sandbox, error) {
		return Sandbox{}, fmt.Errorf("cannot mend the network of %s: %w", c.Name(), err)
	}
	ns, err := os.Open(nsPath)
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	if host, err := netns.Identity(); err != nil || netns.Inode(nsPath) == 0 || netns.Inode(nsPath) == host {
		return fail(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s is not a container's namespace", nsPath)))
	}
	d.mu.Lock()
	s := d.sandboxes[c.ContainerID]
	d.mu.Unlock()
	if s != nil && !s.rec.Config.Same(c) {
		return fail(errdefs.With(errdefs.ErrConflict, errors.New("it was set up with another configuration")))
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if s == nil {
		s, err = d.recall(c, ns)
	}
	if err == nil {
		err = d.mend(ctx, s, ns)
	}
	if err != nil {
		return fail(err)
	}
	v := d.sight.Look()
	d.lookInside([]*sandbox{s})
	return d.sandboxState(s, v), nil
}

// recall makes the record of a sandbox anew of which only the namespace is left, with the addresses that are in there.
func (d *Driver) recall(c SandboxConfig, ns *os.File) (*sandbox, error) {
	var before []Endpoint
	err := netns.In(ns, func() error {
		in, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer in.Close()
		here, err := interior.Read(in)
		if err != nil {
			return err
		}
		for i, cfg := range c.Endpoints {
			ep := Endpoint{EndpointConfig: cfg}
			for _, p := range here.Addresses(cfg.InterfaceName(i)) {
				switch {
				case p.Addr().IsLinkLocalUnicast() || slices.Contains(cfg.LinkLocal, p.Addr()):
				case p.Addr().Is4():
					ep.Addr4 = p
				default:
					ep.Addr6 = p
				}
			}
			before = append(before, ep)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	undo := cleanup.Make()
	defer undo.Clean()
	s, err := d.claim(c, before, undo)
	if err != nil {
		return nil, err
	}
	if err := d.fw.AddGuests(d.guests(s.rec)); err != nil {
		return nil, err
	}
	d.servePorts(s)
	d.mu.Lock()
	d.sandboxes[c.ContainerID] = s
	d.mu.Unlock()
	undo.Release()
	return s, nil
}

// mend makes what s lacks, from the namespace outwards. Preconditions: the sandbox's lock is held, ns is its namespace.
func (d *Driver) mend(ctx context.Context, s *sandbox, ns *os.File) error {
	id := s.rec.Config.ContainerID
	path := d.netnsPath(id)
	if have, want := netns.Inode(path), netns.Inode(fmt.Sprintf("/proc/self/fd/%d", ns.Fd())); have != want {
		if err := netns.Bind(ns, path); err != nil {
			return err
		}
	}
	if err := d.hear(s.rec, int(ns.Fd()), false); err != nil {
		return err
	}
	if err := netns.In(ns, func() error { return d.refurnish(ctx, s.rec, int(ns.Fd())) }); err != nil {
		return err
	}
	if err := d.mendDNS(s, ns); err != nil {
		return err
	}
	if err := d.mendPorts(s); err != nil {
		return err
	}
	if err := d.fw.AddForwards(d.forwards(s.rec)); err != nil {
		return err
	}
	if err := d.fw.Restore(); err != nil {
		return err
	}
	d.link.AwaitCarrier(ctx, hostLinks(s.rec.Endpoints)...)
	d.networks.Announce(s.rec)
	return nil
}

// refurnish is furnish for a namespace in which something is left, and processes of the container have made things of
// their own. The calling thread is in it, and ns is an fd of it.
func (d *Driver) refurnish(ctx context.Context, r record.Sandbox, ns int) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink in the container's namespace: %w", err)
	}
	defer in.Close()
	if err := interior.Repair(in); err != nil {
		return err
	}
	anew := false
	for _, ep := range r.Endpoints {
		made := false
		n, err := d.networks.Record(ep.Network)
		if err == nil {
			made, err = d.medium(n.Config).Rejoin(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
		anew = anew || made
	}
	here, err := interior.Read(in)
	if err != nil {
		return err
	}
	for _, ep := range r.Endpoints {
		if err := here.Connect(in, ep); err != nil {
			return err
		}
	}
	for _, route := range d.defaultRoutes(r.Endpoints) {
		if !here.Has(route) {
			if err := route.Add(in); err != nil {
				return err
			}
		}
	}
	in.AwaitLocal(ctx, r.Addresses6()...)
	if !anew {
		return nil // else the user's sysctls of an interface went with it
	}
	return interior.SetSysctls(r.Config)
}

// mendDNS lets the container's DNS server run and port 53 lead to it.
func (d *Driver) mendDNS(s *sandbox, ns *os.File) error {
	if len(s.rec.Endpoints) == 0 {
		return nil
	}
	d.mu.Lock()
	server := s.server
	if server != nil && server.Broken() {
		defer server.Close()
		s.server, server = nil, nil
	}
	d.mu.Unlock()
	var socks *dns.Sockets
	err := netns.In(ns, func() (err error) {
		if server == nil {
			socks, err = resolver.Listen(false)
			return err
		}
		return resolver.Redirect(server)
	})
	if err != nil || socks == nil {
		return err
	}
	server = d.serveDNS(s.rec, socks)
	d.mu.Lock()
	s.server, s.held = server, ""
	d.mu.Unlock()
	return nil
}

// mendPorts reserves again what could not be when the sandbox was adopted.
func (d *Driver) mendPorts(s *sandbox) error {
	for i, p := range s.rec.Ports {
		if s.ports[i] != nil {
			continue
		}
		r, err := d.published.Again(p)
		if err != nil {
			return err
		}
		d.mu.Lock()
		s.ports[i], s.held = r, ""
		d.mu.Unlock()
	}
	d.servePorts(s)
	return nil
}
