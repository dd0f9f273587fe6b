package definition

import "net/netip"

// Port is one published port. HostPort 0 = any free one; HostPortEnd > HostPort = one free of the range.
type Port struct {
	HostIP        netip.Addr // zero = all, IPv4 and IPv6
	HostPort      uint16
	HostPortEnd   uint16
	ContainerPort uint16
	Protocol      string // tcp udp
}

// Any says whether any free port will do.
func (p Port) Any() bool { return p.HostPort == 0 }

// Ranged says whether one of several ports will do.
func (p Port) Ranged() bool { return p.HostPortEnd > p.HostPort }

// Candidates are the host ports that p may get, in order; 0 = any.
func (p Port) Candidates() []uint16 {
	if !p.Ranged() {
		return []uint16{p.HostPort}
	}
	var all []uint16
	for n := int(p.HostPort); n <= int(p.HostPortEnd); n++ {
		all = append(all, uint16(n))
	}
	return all
}

// Within says whether n is p's port, or one of its range. Precondition: not any will do.
func (p Port) Within(n uint16) bool { return p.HostPort <= n && n <= max(p.HostPort, p.HostPortEnd) }

// Covers says whether bound is what p, of a configuration, became.
func (p Port) Covers(bound Port) bool {
	return bound.Protocol == p.Protocol && bound.HostIP == p.HostIP && bound.ContainerPort == p.ContainerPort && (p.Any() || p.Within(bound.HostPort))
}

// Collides says whether o, which is bound, is in the way of p at host port n.
func (p Port) Collides(n uint16, o Port) bool {
	return o.Protocol == p.Protocol && o.HostPort == n && p.SameHost(o)
}

// SameHost says whether one of the host's addresses is both p's and o's.
func (p Port) SameHost(o Port) bool {
	return o.HostIP == p.HostIP || everywhere(o.HostIP) || everywhere(p.HostIP)
}

func everywhere(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
