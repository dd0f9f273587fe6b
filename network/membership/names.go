package membership

import (
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/record"
)

// Announce makes b's names known on its networks, if they are its own at this time; Silence takes them back.
func (m *Networks) Announce(b record.Sandbox) {
	if b.Waiting || b.Relieved {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(b.Endpoints, func(n *Network, ep record.Endpoint) {
		names := ep.Names
		if ep.ShortID != "" {
			names = append(names[:len(names):len(names)], ep.ShortID)
		}
		n.zone.Add(dns.Host{ID: b.Config.ContainerID, Names: names, Addr4: ep.Addr4.Addr(), Addr6: ep.Addr6.Addr()})
	})
}

// Silence is the end of what Announce has said.
func (m *Networks) Silence(b record.Sandbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(b.Endpoints, func(n *Network, ep record.Endpoint) { n.zone.Remove(b.Config.ContainerID) })
}

// Zones are those that a container with eps is in; outward says whether one of its networks leads to the world.
func (m *Networks) Zones(eps []record.Endpoint) (zones []*dns.Zone, outward bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(eps, func(n *Network, _ record.Endpoint) {
		zones = append(zones, n.zone)
		outward = outward || n.rec.Config.Outward()
	})
	return zones, outward
}
