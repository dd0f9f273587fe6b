package membership

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
)

// Take decides the addresses of c endpoint by endpoint, all or none, in the name of c. before is what the container had, and has again where that is free.
//
// Errors: ErrNotFound, no such network; ErrInvalidArgument and ErrConflict, an address that cannot be had.
func (m *Networks) Take(c definition.SandboxConfig, before []record.Endpoint) (_ []record.Endpoint, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var eps []record.Endpoint
	who := c.Name()
	defer func() {
		if err != nil {
			m.give(eps, who)
		}
	}()
	for i, cfg := range c.Endpoints {
		cfg.ContainerID = c.ContainerID
		cfg.Interface = cfg.InterfaceName(i)
		n := m.all[cfg.Network]
		if n == nil {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %q does not exist", cfg.Network))
		}
		if err := n.rec.Config.CheckEndpoint(cfg); err != nil {
			return nil, fmt.Errorf("network %q: %w", cfg.Network, err)
		}
		had4, had6 := cfg.IPv4, cfg.IPv6
		for _, b := range before {
			if b.Network == cfg.Network {
				had4, had6 = cmp.Or(had4, b.Addr4.Addr()), cmp.Or(had6, b.Addr6.Addr())
			}
		}
		eps = append(eps, record.Endpoint{EndpointConfig: cfg})
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

// KeepAddresses keeps addresses, by the id of their network, for those of holder's containers that ask for one of them: another gets it only when no
// other is free. It replaces what was kept for holder, and does not outlive the process. The networks need not be there.
func (m *Networks) KeepAddresses(holder string, addrs map[string][]netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(addrs) == 0 {
		delete(m.kept, holder)
		return
	}
	m.kept[holder] = addrs
}

// keptOn are the addresses of network id that are kept for somebody. Precondition: mu is held.
func (m *Networks) keptOn(id string) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, networks := range m.kept {
		for _, a := range networks[id] {
			all[a] = true
		}
	}
	return all
}

// take gives who an address of one family: static if that is valid, else had if it is free and not kept, else any. Nothing when the network
// has no subnet of the family. Precondition: in.mu is held.
func (n *Network) take(v4 bool, static, had netip.Addr, who string) (netip.Prefix, netip.Addr, error) {
	none := func(err error) (netip.Prefix, netip.Addr, error) { return netip.Prefix{}, netip.Addr{}, err }
	var full error
	var subnets []string
	kept := n.in.keptOn(n.rec.Config.ID)
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
		case had.IsValid() && p.Subnet.Contains(had) && !kept[had] && p.Take(had, who) == nil:
			got = had
		default:
			var err error
			if got, err = p.Next(who, kept); err != nil {
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

// Give gives back what who has of the addresses of eps.
func (m *Networks) Give(eps []record.Endpoint, who string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.give(eps, who)
}

// give is Give. Precondition: mu is held.
func (m *Networks) give(eps []record.Endpoint, who string) {
	m.each(eps, func(n *Network, ep record.Endpoint) {
		for _, p := range n.pools {
			p.Release(ep.Addr4.Addr(), who)
			p.Release(ep.Addr6.Addr(), who)
		}
	})
}

// Retake takes the addresses of eps, which who had, as far as nobody else has them.
func (m *Networks) Retake(eps []record.Endpoint, who string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(eps, func(n *Network, ep record.Endpoint) { n.retake(ep, who) })
}

// Pass lets the addresses of eps that one name has be another's: of a container by the first of its names.
func (m *Networks) Pass(eps []record.Endpoint, from, to string) {
	if from == to {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.give(eps, from)
	m.each(eps, func(n *Network, ep record.Endpoint) { n.retake(ep, to) }) // they were theirs a moment ago, and the lock is held
}

// retake takes both addresses of ep. Precondition: in.mu is held.
func (n *Network) retake(ep record.Endpoint, who string) {
	for _, p := range n.pools {
		for _, a := range []netip.Addr{ep.Addr4.Addr(), ep.Addr6.Addr()} {
			if p.Subnet.Contains(a) {
				_ = p.Take(a, who)
			}
		}
	}
}

// each calls f for those of eps whose network is there. Precondition: mu is held.
func (m *Networks) each(eps []record.Endpoint, f func(n *Network, ep record.Endpoint)) {
	for _, ep := range eps {
		if n := m.all[ep.Network]; n != nil {
			f(n, ep)
		}
	}
}
