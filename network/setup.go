package network

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
)

func (d *Driver) netnsPath(id string) string { return d.roots.InRun("netns", id) }

// Setup makes the sandbox of container c.ContainerID: its namespace with lo, an interface per endpoint, routes, DNS, and
// the published ports. A sandbox that is there and whole, with the same configuration, is kept as it is; any other is made anew, with the
// addresses that it had where that is possible.
//
// Errors: ErrInvalidArgument for what cannot be (no such network, an address outside the subnet), ErrConflict for what is
// taken (address, port; the message names the owner).
func (d *Driver) Setup(ctx context.Context, c SandboxConfig) (Sandbox, error) {
	if err := c.Check(); err != nil {
		return Sandbox{}, err
	}
	defer d.objects.lock("sandbox " + c.ContainerID)()
	d.mu.Lock()
	old := d.sandboxes[c.ContainerID]
	d.mu.Unlock()
	var before []Endpoint
	if old != nil {
		if old.rec.Config.Same(c) {
			v := d.sight.Look()
			d.lookInside([]*sandbox{old})
			if st := d.sandboxState(old, v); st.Healthy {
				return st, nil
			}
		}
		before = old.rec.Endpoints
		if err := d.teardown(old); err != nil {
			return Sandbox{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return Sandbox{}, err
	}
	s, err := d.build(ctx, c, before)
	if err != nil {
		return Sandbox{}, fmt.Errorf("cannot set up the network of %s: %w", c.Name(), err)
	}
	return s.state(d.netnsPath(c.ContainerID), d.resolvConf(c)), nil
}

// build makes a sandbox of which nothing exists.
func (d *Driver) build(ctx context.Context, c SandboxConfig, before []Endpoint) (*sandbox, error) {
	undo := cleanup.Make()
	defer undo.Clean()
	s, err := d.claim(c, before, undo)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.recorded")
	path := d.netnsPath(c.ContainerID)
	var socks *dns.Sockets
	if err := netns.Unbind(path); err != nil { // an empty file, or one that a lost record left
		return nil, err
	}
	undo.Add(func() { d.alarm.Forget(c.ContainerID) })
	if err := netns.Make(path, func(fd int) error {
		if err := d.furnish(ctx, s.rec, fd); err != nil {
			return err
		}
		if len(c.Endpoints) > 0 {
			if socks, err = listenDNS(true); err != nil {
				return err
			}
		}
		_ = d.hear(s.rec, fd, true)
		return nil
	}); err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.namespace")
	undo.Add(func() { netns.Unbind(path) })
	if socks != nil {
		s.server = d.serveDNS(s.rec, socks)
	}
	if err := d.fw.AddForwards(d.forwards(s)); err != nil {
		return nil, err
	}
	undo.Add(func() { d.fw.DelForwards(d.forwards(s)) })
	if err := d.fw.AddGuests(d.guests(s.rec)); err != nil {
		return nil, err
	}
	undo.Add(func() { d.fw.DelGuests(d.guests(s.rec)) })
	failpoint.Hit("network.setup.firewall")
	if err := d.servePorts(s); err != nil {
		return nil, err
	}
	d.forgetFlows(s.rec)
	d.link.AwaitCarrier(ctx, hostLinks(s.rec.Endpoints)...)
	d.mu.Lock()
	d.sandboxes[c.ContainerID] = s
	d.mu.Unlock()
	d.announce(s.rec)
	undo.Release()
	return s, nil
}

// claim gives a sandbox its addresses and ports, and records that before anything of it is made. before is what the container had; undo gives it all back.
func (d *Driver) claim(c SandboxConfig, before []Endpoint, undo *cleanup.Cleanup) (_ *sandbox, err error) {
	s := &sandbox{rec: record.Sandbox{Config: c}}
	s.rec.Waiting = d.waits(c)
	if s.rec.Endpoints, err = d.takeAddresses(c, before); err != nil {
		return nil, err
	}
	undo.Add(func() { d.giveAddresses(s.rec) })
	if err := d.reservePorts(s); err != nil {
		return nil, err
	}
	undo.Add(s.release)
	if err := d.records.PutSandbox(s.rec); err != nil {
		return nil, err
	}
	undo.Add(func() { d.records.DropSandbox(c.ContainerID) })
	return s, nil
}

// takeAddresses decides endpoint by endpoint, all or none. before is what the container had.
func (d *Driver) takeAddresses(c SandboxConfig, before []Endpoint) (_ []Endpoint, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var eps []Endpoint
	defer func() {
		if err != nil {
			d.giveLocked(eps, c.Name())
		}
	}()
	who := c.Name()
	for i, cfg := range c.Endpoints {
		cfg.ContainerID = c.ContainerID
		cfg.Interface = cfg.InterfaceName(i)
		n := d.networks[cfg.Network]
		if n == nil {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %q does not exist", cfg.Network))
		}
		if err := n.rec.Config.CheckEndpoint(cfg); err != nil {
			return nil, fmt.Errorf("network %q: %w", cfg.Network, err)
		}
		ep := Endpoint{EndpointConfig: cfg, HostLink: d.medium(n.rec).hostLink(d.nextLink)}
		d.nextLink++
		had4, had6 := cfg.IPv4, cfg.IPv6
		for _, b := range before {
			if b.Network == cfg.Network {
				had4, had6 = orElse(had4, b.Addr4.Addr()), orElse(had6, b.Addr6.Addr())
			}
		}
		eps = append(eps, ep)
		e := &eps[len(eps)-1]
		if e.Addr4, e.Gateway4, err = n.take(true, cfg.IPv4, had4, who); err != nil {
			return nil, err
		}
		if e.Addr6, e.Gateway6, err = n.take(false, cfg.IPv6, had6, who); err != nil {
			return nil, err
		}
	}
	return eps, nil
}

func orElse(a, b netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return b
}

// take gives who an address of one family: static if that is valid, else had if it is free, else any. Nothing when the network
// has no subnet of the family.
func (n *network) take(v4 bool, static, had netip.Addr, who string) (netip.Prefix, netip.Addr, error) {
	none := func(err error) (netip.Prefix, netip.Addr, error) { return netip.Prefix{}, netip.Addr{}, err }
	var full error
	var subnets []string
	for _, p := range n.pools {
		if p.Subnet.Addr().Is4() != v4 {
			continue
		}
		subnets = append(subnets, p.Subnet.String())
		got := static
		switch {
		case static.IsValid() && !p.Subnet.Contains(static):
			continue
		case static.IsValid():
			if err := p.Take(static, who); err != nil {
				return none(fmt.Errorf("network %q: %w", n.rec.Config.ID, err))
			}
		case had.IsValid() && p.Subnet.Contains(had) && p.Take(had, who) == nil:
			got = had
		default:
			var err error
			if got, err = p.Next(who); err != nil {
				full = fmt.Errorf("network %q: %w", n.rec.Config.ID, err)
				continue
			}
		}
		return netip.PrefixFrom(got, p.Subnet.Bits()), p.Gateway, nil
	}
	switch {
	case static.IsValid() && len(subnets) == 0:
		family := "IPv4"
		if !v4 {
			family = "IPv6"
		}
		return none(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("network %q: address %s: the network has no %s subnet", n.rec.Config.ID, static, family)))
	case static.IsValid():
		return none(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("network %q: address %s is outside the network's subnet %s",
			n.rec.Config.ID, static, strings.Join(subnets, ", "))))
	}
	return none(full)
}

func (d *Driver) giveAddresses(r record.Sandbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.giveLocked(r.Endpoints, r.Config.Name())
}

// giveLocked gives addresses back. Precondition: d.mu is held.
func (d *Driver) giveLocked(eps []Endpoint, who string) {
	for _, ep := range eps {
		if n := d.networks[ep.Network]; n != nil {
			for _, p := range n.pools {
				p.Release(ep.Addr4.Addr(), who)
				p.Release(ep.Addr6.Addr(), who)
			}
		}
	}
}

// listenDNS opens the DNS sockets of the namespace that the calling thread is in; fresh if it never had any.
func listenDNS(fresh bool) (*dns.Sockets, error) {
	socks, err := dns.Listen()
	if err != nil {
		return nil, err
	}
	if err := nft.RedirectDNS(dns.Addr, socks.Port(), socks.Port(), fresh); err != nil {
		socks.Close()
		return nil, err
	}
	return socks, nil
}

// serveDNS answers the container of r on socks.
func (d *Driver) serveDNS(r record.Sandbox, socks *dns.Sockets) *dns.Server {
	return dns.Serve(socks, d.view(r), func() {
		d.alarm.LookAgain(r.Config.ContainerID)
		d.alarm.Hint()
	})
}
