package sandbox

import (
	"slices"

	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
)

// Adopt lets sb go on with all, the records of a predecessor: their addresses, names and ports are taken. A sandbox without a namespace is forgotten, since nothing of it is
// left to keep; what else of one is not whole is told by its State, for Setup and Mend to repair. The firewall has to know forwards and guests before Resume.
//
// Precondition: nobody else has sb yet. It and Resume are no methods: those are what callers of the Driver may do.
func Adopt(sb *Keeper, all []record.Sandbox) (forwards []nft.Forward, guests []nft.Guest, err error) {
	for _, rec := range all {
		if !netns.Bound(sb.book.Path(rec.Config.ContainerID)) && !sb.linked(rec) {
			if err := sb.records.DropSandbox(rec.Config.ContainerID); err != nil {
				return nil, nil, err
			}
			continue
		}
		sb.adopt(rec)
		forwards = append(forwards, sb.forwards(rec)...)
		guests = append(guests, sb.cabling.Guests(rec.Endpoints)...)
	}
	return forwards, guests, nil
}

// Resume serves again the ports of what was adopted, hears what happens to it, and answers its names. Precondition: as Adopt.
func Resume(sb *Keeper) {
	for _, s := range sb.book.boxes() {
		if err := sb.servePorts(s); err != nil {
			s.held = err.Error()
		}
		sb.hearAgain(s.rec)
		if err := sb.adoptDNS(s); err != nil {
			s.held = err.Error()
		}
	}
}

// linked says whether a veth of r is there: then so is its other end, and the namespace, which a running container holds
// though its file is gone. Mend binds it again.
func (sb *Keeper) linked(r record.Sandbox) bool {
	return slices.ContainsFunc(r.Endpoints, func(ep record.Endpoint) bool {
		_, err := sb.link.LinkByName(ep.HostLink)
		return ep.HostLink != "" && err == nil
	})
}

// adopt takes rec's addresses and ports again.
func (sb *Keeper) adopt(rec record.Sandbox) {
	s := &box{rec: rec}
	sb.networks.Retake(rec.Endpoints, rec.Config.Name())
	for _, p := range rec.Ports {
		r, err := sb.published.Again(p)
		if err != nil {
			// The firewall still forwards, so the port works; but somebody else believes to have it.
			s.held = err.Error()
		}
		s.ports = append(s.ports, r)
	}
	sb.book.put(s)
	sb.networks.Announce(rec)
}

// adoptDNS opens the sockets of a sandbox's DNS server again.
func (sb *Keeper) adoptDNS(s *box) error {
	if len(s.rec.Endpoints) == 0 {
		return nil
	}
	var socks *dns.Sockets
	err := netns.Do(sb.book.Path(s.rec.Config.ContainerID), func() (err error) {
		socks, err = resolver.Listen(false)
		return err
	})
	if err != nil {
		return err
	}
	s.server = sb.serveDNS(s.rec, socks)
	return nil
}
