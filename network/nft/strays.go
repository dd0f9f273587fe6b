package nft

import (
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/conntrack"
)

// A connection to a port whose first packet came while the firewall did not forward it, and which the kernel tracked, for others have rules too, is
// a stray: it is not looked up again as long as packets come (nf_nat_setup_info leaves alone what is confirmed), and so never gets to the container.

// forgetStrays ends those of forwards. The TCP connections that the proxy of IPv6 has answered meanwhile stay with it. A failure, where the kernel has no
// ctnetlink, is a stray that ends when its client pauses.
func forgetStrays(forwards []Forward) {
	if len(forwards) == 0 {
		return
	}
	type port struct {
		proto byte
		n     uint16
	}
	hosts := map[port][]netip.Addr{}
	for _, f := range forwards {
		p := port{protoNumber(f.Proto), f.Port}
		host := f.Host
		if !host.IsValid() || host.IsUnspecified() {
			host = netip.IPv6Unspecified()
			if f.To.Addr().Is4() {
				host = netip.IPv4Unspecified()
			}
		}
		hosts[p] = append(hosts[p], host)
	}
	local := locals()
	_ = conntrack.Forget(func(f conntrack.Flow) bool {
		to := f.To.Addr()
		if f.Forwarded() || loopback6.Contains(to) || f.Proto == unix.IPPROTO_TCP && !f.New {
			return false
		}
		return slices.ContainsFunc(hosts[port{f.Proto, f.To.Port()}], func(host netip.Addr) bool {
			return host == to || host.IsUnspecified() && host.Is4() == to.Is4() && local(to)
		})
	})
}

// locals says which addresses are the host's.
func locals() func(netip.Addr) bool {
	have := map[netip.Addr]bool{}
	all, _ := net.InterfaceAddrs() // without an answer, loopback is known
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			have[ip.Unmap()] = true
		}
	}
	return func(a netip.Addr) bool { return have[a] || loopback4.Contains(a) }
}
