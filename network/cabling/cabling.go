// Package cabling connects a container's namespace to its networks: it makes and repairs the interfaces, each by the
// medium of its network, and the default routes.
//
// Called by package sandbox. It keeps no state: records tell it what should exist. May touch: links, addresses and
// routes in the container's namespace, and on the host what the media touch.
package cabling

import (
	"fmt"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/media"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sight"
)

// Cabling is that of all containers. Safe for concurrent use, but one works on a container's at a time.
type Cabling struct {
	networks *membership.Networks
	media    *media.Media
}

// New is the cabling to networks by media.
func New(networks *membership.Networks, media *media.Media) *Cabling {
	return &Cabling{networks: networks, media: media}
}

// at is the network that ep is on, and its medium.
func (c *Cabling) at(ep record.Endpoint) (media.Medium, record.Network, error) {
	n, err := c.networks.Record(ep.Network)
	if err != nil {
		return nil, n, err
	}
	return c.media.Of(n.Config), n, nil
}

// Take gives the endpoints of box their addresses and the names of their links on the host, of which number says the next. before is what the container had.
func (c *Cabling) Take(box definition.SandboxConfig, before []record.Endpoint, number func() uint64) ([]record.Endpoint, error) {
	eps, err := c.networks.Take(box, before)
	for i := range eps {
		m, _, err := c.at(eps[i])
		if err != nil {
			continue // it has gone since, which attaching it will say
		}
		eps[i].HostLink = m.HostLink(number())
	}
	return eps, err
}

// Routes lead out of a container with eps.
func (c *Cabling) Routes(eps []record.Endpoint) (all []interior.Route) {
	if ep, ok := c.networks.WayOut(eps, true); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway4, V4: true})
	}
	if ep, ok := c.networks.WayOut(eps, false); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway6, V4: false})
	}
	return all
}

// Guests are the addresses of eps that are of no subnet of their network, where the firewall has to know.
func (c *Cabling) Guests(eps []record.Endpoint) (all []nft.Guest) {
	for _, ep := range eps {
		m, n, err := c.at(ep)
		if err != nil {
			continue
		}
		if wall, ok := m.Firewall(n); ok {
			for _, a := range ep.LinkLocal {
				all = append(all, nft.Guest{Bridge: wall.Bridge, Addr: a})
			}
		}
	}
	return all
}

// HostLinks are the links that eps have on the host.
func HostLinks(eps []record.Endpoint) (names []string) {
	for _, ep := range eps {
		if ep.HostLink != "" {
			names = append(names, ep.HostLink)
		}
	}
	return names
}

// Problem says what the host's side of ep is not.
func (c *Cabling) Problem(ep record.Endpoint, v sight.Host) string {
	m, n, err := c.at(ep)
	if err != nil {
		return fmt.Sprintf("network %q is gone", ep.Network)
	}
	return m.EndpointProblem(n, ep, v)
}

// Peer is the index of the host's link that the interface of ep is to lead to; 0 = there is none.
func (c *Cabling) Peer(ep record.Endpoint, v sight.Host) int {
	m, n, err := c.at(ep)
	if err != nil {
		return 0
	}
	return m.Peer(n, ep, v)
}
