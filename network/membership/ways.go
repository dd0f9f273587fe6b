package membership

import (
	"net/netip"

	"github.com/stackrun/stack/network/record"
)

// WayOut is the one of eps by which their container reaches the world: that of the highest GwPriority, of equals the first, among those whose network has a way out.
func (m *Networks) WayOut(eps []record.Endpoint, v4 bool) (best record.Endpoint, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(eps, func(n *Network, ep record.Endpoint) {
		addr := ep.Addr4
		if !v4 {
			addr = ep.Addr6
		}
		if n.rec.Config.Outward() && addr.IsValid() && (!ok || ep.GwPriority > best.GwPriority) {
			best, ok = ep, true
		}
	})
	return best, ok
}

// WayIn is the one of eps by which the world reaches published ports: that by which the answers leave. Not ok: there is none, or
// what comes by it passes the host by.
func (m *Networks) WayIn(eps []record.Endpoint, v4 bool) (record.Endpoint, bool) {
	ep, ok := m.WayOut(eps, v4)
	if !ok {
		return ep, false
	}
	n, err := m.Record(ep.Network)
	return ep, err == nil && n.Config.Publishes()
}

// Reachable says whether there is a way in.
func (m *Networks) Reachable(eps []record.Endpoint) bool {
	_, v4 := m.WayIn(eps, true)
	_, v6 := m.WayIn(eps, false)
	return v4 || v6
}

// BindingAddr is the host's address that the network by which the ports are reached says that they go to; zero = all.
func (m *Networks) BindingAddr(eps []record.Endpoint) netip.Addr {
	ep, ok := m.WayIn(eps, true)
	if !ok {
		return netip.Addr{}
	}
	n, err := m.Record(ep.Network)
	if err != nil {
		return netip.Addr{} // it has gone since
	}
	return n.Config.BindingAddr()
}
