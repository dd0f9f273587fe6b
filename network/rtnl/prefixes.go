package rtnl

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Prefixes are the subnets that the namespace is on or its routes use, but for those of the links that skip names.
func (h *Handle) Prefixes(skip func(link string) bool) (addrs, routes []netip.Prefix, err error) {
	links, err := h.Links()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's links: %w", err)
	}
	by, err := h.Addrs()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's addresses: %w", err)
	}
	skipped := map[int]bool{}
	for _, l := range links {
		skipped[l.Attrs().Index] = skip(l.Attrs().Name)
	}
	for _, index := range slices.Sorted(maps.Keys(by)) {
		for _, p := range by[index] {
			if p = p.Masked(); !skipped[index] && !p.Addr().IsLinkLocalUnicast() {
				addrs = append(addrs, p)
			}
		}
	}
	all, err := dump(func() ([]netlink.Route, error) {
		return h.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list the host's routes: %w", err)
	}
	for _, r := range all {
		// Default routes, and the halves of one by which VPNs override it, say nothing of who uses an address.
		if p, ok := Prefix(r.Dst); ok && p.Bits() > 4 && !skipped[r.LinkIndex] && !p.Addr().IsMulticast() {
			routes = append(routes, p)
		}
	}
	return addrs, routes, nil
}
