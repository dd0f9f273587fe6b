package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// connectSubnet makes the route to the subnet of an address that the kernel makes by itself, with the address, but not twice.
func connectSubnet(h *netlink.Handle, index int, own netip.Prefix) error {
	r := &netlink.Route{LinkIndex: index, Protocol: unix.RTPROT_KERNEL, Dst: address(own.Masked()).IPNet}
	if own.Addr().Is4() {
		r.Scope, r.Src = netlink.SCOPE_LINK, own.Addr().AsSlice()
	}
	return h.RouteReplace(r)
}

// connected are the subnets that the main table of h's namespace reaches directly, by the index of the link.
func connected(h *netlink.Handle) (map[int][]netip.Prefix, error) {
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list routes: %w", err)
	}
	return direct(routes), nil
}

// direct are the destinations of routes without a gateway, by link.
func direct(routes []netlink.Route) map[int][]netip.Prefix {
	by := map[int][]netip.Prefix{}
	for _, r := range routes {
		if p, ok := toPrefix(r.Dst); ok && r.Gw == nil && r.Type == unix.RTN_UNICAST {
			by[r.LinkIndex] = append(by[r.LinkIndex], p)
		}
	}
	return by
}

func families(pools []Pool) (v4, v6 bool) {
	for _, p := range pools {
		v4, v6 = v4 || p.Subnet.Addr().Is4(), v6 || p.Subnet.Addr().Is6()
	}
	return v4, v6
}

// address is p for netlink. No duplicate address detection: all addresses of the link are given out by us, and
// it would keep an address from being used for a second.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// hardwareAddr derives a MAC from an address, so that whoever gets the address later has the same and no neighbour
// cache is wrong: 02 marks it as locally administered (IEEE 802 section 8.4).
func hardwareAddr(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, b[len(b)-4:]...)
}

func isNotFound(err error) bool {
	var nf netlink.LinkNotFoundError
	return errors.As(err, &nf)
}

// hostPrefixes are the subnets that the host itself or its routes use, but for those of the links that skip names.
func (d *Driver) hostPrefixes(skip func(link string) bool) (addrs, routes []netip.Prefix, err error) {
	links, err := dump(d.link.LinkList)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's links: %w", err)
	}
	ours := map[int]bool{}
	for _, l := range links {
		ours[l.Attrs().Index] = skip(l.Attrs().Name)
	}
	list, err := dump(func() ([]netlink.Addr, error) { return d.link.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's addresses: %w", err)
	}
	for _, a := range list {
		if p, ok := toPrefix(a.IPNet); ok && !ours[a.LinkIndex] && !p.Addr().IsLinkLocalUnicast() {
			addrs = append(addrs, p)
		}
	}
	all, err := dump(func() ([]netlink.Route, error) {
		return d.link.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's routes: %w", err)
	}
	for _, r := range all {
		// Default routes, and the halves of one by which VPNs override it, say nothing of who uses an address.
		if p, ok := toPrefix(r.Dst); ok && p.Bits() > 4 && !ours[r.LinkIndex] && !p.Addr().IsMulticast() {
			routes = append(routes, p)
		}
	}
	return addrs, routes, nil
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	if !ok {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, ones).Masked(), ones <= a.BitLen()
}

// isOurs says whether a link carries this instance's name.
func (d *Driver) isOurs(link string) bool {
	return strings.HasPrefix(link, "sb"+d.instance) || strings.HasPrefix(link, "sv"+d.instance) || strings.HasPrefix(link, "sd"+d.instance)
}
