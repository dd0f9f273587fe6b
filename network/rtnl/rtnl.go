// Package rtnl asks the kernel for the links, addresses and routes of one network namespace, by rtnetlink(7), and waits for what it does later than it
// has answered. It knows nothing of containers.
package rtnl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Handle is a socket of one namespace, wherever the calling thread is. Changes are made as with netlink.Handle; lists are read by the methods here, which
// read again what changed meanwhile. Safe for concurrent use.
type Handle struct{ *netlink.Handle }

// Open is a handle of the namespace that the calling thread is in.
func Open() (*Handle, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &Handle{h}, nil
}

// Links are all of the namespace.
func (h *Handle) Links() ([]netlink.Link, error) { return dump(h.LinkList) }

// Addrs are the addresses by the index of their link, each with the length of its subnet.
func (h *Handle) Addrs() (map[int][]netip.Prefix, error) {
	list, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	by := map[int][]netip.Prefix{}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.IPNet != nil {
			ones, _ := a.Mask.Size()
			by[a.LinkIndex] = append(by[a.LinkIndex], netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return by, nil
}

// Routes are those of the main table.
func (h *Handle) Routes() ([]netlink.Route, error) {
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list routes: %w", err)
	}
	return routes, nil
}

// Direct are the destinations of routes without a gateway, by the index of the link.
func Direct(routes []netlink.Route) map[int][]netip.Prefix {
	by := map[int][]netip.Prefix{}
	for _, r := range routes {
		if p, ok := Prefix(r.Dst); ok && r.Gw == nil && r.Type == unix.RTN_UNICAST {
			by[r.LinkIndex] = append(by[r.LinkIndex], p)
		}
	}
	return by
}

// Connect makes the route to the subnet of an address that the kernel makes by itself, with the address, but not twice.
func (h *Handle) Connect(index int, own netip.Prefix) error {
	r := &netlink.Route{LinkIndex: index, Protocol: unix.RTPROT_KERNEL, Dst: Addr(own.Masked()).IPNet}
	if own.Addr().Is4() {
		r.Scope, r.Src = netlink.SCOPE_LINK, own.Addr().AsSlice()
	}
	return h.RouteReplace(r)
}

// Addr is p for netlink. No duplicate address detection: all addresses of the link are given out by us, and
// it would keep an address from being used for a second.
func Addr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Prefix is n without host bits; not ok when it is none.
func Prefix(n *net.IPNet) (netip.Prefix, bool) {
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

// IsNotFound says of an error of LinkByName that there is no such link.
func IsNotFound(err error) bool {
	var nf netlink.LinkNotFoundError
	return errors.As(err, &nf)
}
