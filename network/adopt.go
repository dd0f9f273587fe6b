package network

import (
	"slices"

	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
)

// adopt takes over what a predecessor left. Networks and sandboxes that are whole go on untouched; those that are not stay
// listed with their problem, for Create, Setup and Mend to repair; a sandbox without a namespace is forgotten,
// since nothing of it is left to keep.
func (d *Driver) adopt() error {
	networks, sandboxes, err := d.records.Load()
	if err != nil {
		return err
	}
	var gone []*membership.Network
	for _, rec := range networks {
		n, err := d.networks.Adopt(rec)
		if err != nil {
			return err
		}
		if n != nil && rec.Deleting {
			gone = append(gone, n)
		}
	}
	var forwards []nft.Forward
	for _, rec := range sandboxes {
		if !netns.Bound(d.netnsPath(rec.Config.ContainerID)) && !d.linked(rec) {
			if err := d.records.DropSandbox(rec.Config.ContainerID); err != nil {
				return err
			}
			continue
		}
		d.adoptSandbox(rec)
		forwards = append(forwards, d.forwards(rec)...)
	}
	if err := d.adoptFirewall(forwards); err != nil {
		return err
	}
	for _, s := range d.sandboxes {
		if err := d.servePorts(s); err != nil {
			s.held = err.Error()
		}
		d.hearAgain(s.rec)
		if err := d.adoptDNS(s); err != nil {
			s.held = err.Error()
		}
	}
	d.sweep() // before anybody else has d
	for _, n := range gone {
		d.background.Go(func() { d.finishDelete(n) })
	}
	return d.lastOut()
}

// linked says whether a veth of r is there: then so is its other end, and the namespace, which a running container holds
// though its file is gone. Mend binds it again.
func (d *Driver) linked(r record.Sandbox) bool {
	return slices.ContainsFunc(r.Endpoints, func(ep Endpoint) bool {
		_, err := d.link.LinkByName(ep.HostLink)
		return ep.HostLink != "" && err == nil
	})
}

// adoptSandbox takes rec's addresses and ports again.
func (d *Driver) adoptSandbox(rec record.Sandbox) {
	s := &sandbox{rec: rec}
	d.sandboxes[rec.Config.ContainerID] = s
	d.networks.Retake(rec.Endpoints, rec.Config.Name())
	for _, p := range rec.Ports {
		r, err := d.published.Again(p)
		if err != nil {
			// The firewall still forwards, so the port works; but somebody else believes to have it.
			s.held = err.Error()
		}
		s.ports = append(s.ports, r)
	}
	d.networks.Announce(rec)
}

// adoptFirewall writes the table anew from the records, in one transaction, which connections do not notice.
func (d *Driver) adoptFirewall(forwards []nft.Forward) error {
	var networks []nft.Network
	for _, n := range d.networks.Records() {
		if wall, ok := d.medium(n.Config).Firewall(n); ok && !n.Deleting {
			networks = append(networks, wall)
		}
	}
	var guests []nft.Guest
	for _, s := range d.sandboxes {
		guests = append(guests, d.guests(s.rec)...)
	}
	if len(networks) == 0 {
		forwards, guests = nil, nil
	}
	if err := d.fw.Replace(networks, forwards, guests); err != nil {
		return err
	}
	if len(networks) == 0 {
		return d.fw.Withdraw()
	}
	return d.fw.Admit()
}

// adoptDNS opens the sockets of a sandbox's DNS server again.
func (d *Driver) adoptDNS(s *sandbox) error {
	if len(s.rec.Endpoints) == 0 {
		return nil
	}
	var socks *dns.Sockets
	err := netns.Do(d.netnsPath(s.rec.Config.ContainerID), func() (err error) {
		socks, err = resolver.Listen(false)
		return err
	})
	if err != nil {
		return err
	}
	s.server = d.serveDNS(s.rec, socks)
	return nil
}
