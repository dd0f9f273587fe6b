package sandbox

import (
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/conntrack"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
)

// reservePorts binds the ports of s and records which they are. A container that is only on internal networks
// publishes nothing: there is no way in.
func (sb *Keeper) reservePorts(s *box) error {
	if !sb.networks.Reachable(s.rec.Endpoints) {
		return nil
	}
	for _, p := range sb.portsWanted(s.rec) {
		r, err := sb.published.BindFor(s.rec.Config.Holder, p)
		if err != nil {
			sb.book.release(s)
			return err
		}
		s.ports = append(s.ports, r)
		p.HostPort, p.HostPortEnd = r.Port, 0
		s.rec.Ports = append(s.rec.Ports, p)
	}
	return nil
}

// portsOf are the ports that r's configuration asks for, each with the address that it is bound to.
func (sb *Keeper) portsOf(r record.Sandbox) []definition.Port {
	ports := slices.Clone(r.Config.Ports)
	for i := range ports {
		if p := &ports[i]; !p.HostIP.IsValid() {
			p.HostIP = sb.networks.BindingAddr(r.Endpoints)
		}
	}
	return ports
}

// portsWanted are those of portsOf that are to be bound at once: not what a predecessor will hand over.
func (sb *Keeper) portsWanted(r record.Sandbox) []definition.Port {
	ports := sb.portsOf(r)
	if !r.Waiting {
		return ports
	}
	old := sb.book.find(r.Config.Succeeds)
	if old == nil {
		return ports
	}
	inherited := publish.Inherit(ports, old.rec.Ports)
	var now []definition.Port
	for i, p := range ports {
		if inherited[i] < 0 {
			now = append(now, p)
		}
	}
	return now
}

// forwards are the firewall's entries for the ports of r.
func (sb *Keeper) forwards(r record.Sandbox) []nft.Forward {
	if r.Waiting {
		return nil
	}
	ep4, ok4 := sb.networks.WayIn(r.Endpoints, true)
	ep6, ok6 := sb.networks.WayIn(r.Endpoints, false)
	var out []nft.Forward
	for _, p := range r.Ports {
		if ok4 && (!p.HostIP.IsValid() || p.HostIP.Is4()) {
			out = append(out, nft.Forward{Proto: p.Protocol, Host: p.HostIP, Port: p.HostPort, To: netip.AddrPortFrom(ep4.Addr4.Addr(), p.ContainerPort)})
		}
		if ok6 && (!p.HostIP.IsValid() || p.HostIP.Is6()) {
			out = append(out, nft.Forward{Proto: p.Protocol, Host: p.HostIP, Port: p.HostPort, To: netip.AddrPortFrom(ep6.Addr6.Addr(), p.ContainerPort)})
		}
	}
	return out
}

// servePorts lets the reserved sockets carry what the firewall cannot forward. Precondition: the firewall forwards the rest.
func (sb *Keeper) servePorts(s *box) error {
	if s.rec.Waiting {
		return nil
	}
	ep4, ok4 := sb.networks.WayIn(s.rec.Endpoints, true)
	ep6, ok6 := sb.networks.WayIn(s.rec.Endpoints, false)
	to := ep4.Addr4.Addr()
	if !ok4 {
		to = ep6.Addr6.Addr()
	}
	if !ok4 && !ok6 {
		return nil
	}
	var errs []error
	for i, r := range s.ports {
		if r != nil {
			errs = append(errs, r.Serve(netip.AddrPortFrom(to, s.rec.Ports[i].ContainerPort), ok6))
		}
	}
	return errors.Join(errs...)
}

// forgetFlows ends the tracking of what leads to r by the UDP ports that it has, or gave away: a client that keeps sending would keep its entry alive, and
// so never meet the successor. TCP connections end with their sockets.
func (sb *Keeper) forgetFlows(r record.Sandbox) {
	ports := map[uint16]bool{}
	for _, p := range slices.Concat(r.Ports, r.Gave) {
		if p.Protocol == "udp" {
			ports[p.HostPort] = true
		}
	}
	if len(ports) == 0 {
		return
	}
	// Nothing to do about a failure: the entries end by themselves when the client pauses.
	_ = conntrack.Forget(func(f conntrack.Flow) bool {
		return f.Proto == unix.IPPROTO_UDP && ports[f.To.Port()] && slices.ContainsFunc(r.Endpoints, func(ep record.Endpoint) bool {
			return f.By.Addr() == ep.Addr4.Addr() || f.By.Addr() == ep.Addr6.Addr()
		})
	})
}
