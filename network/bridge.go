package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/failpoint"
)

// bridgeName is the name of the n-th bridge of an instance; IFNAMSIZ leaves 15 characters.
func bridgeName(instance string, n int) string { return fmt.Sprintf("%s%d", bridgePrefix(instance), n) }

// bridgePrefix is what the names of all of the instance's bridges begin with.
func bridgePrefix(instance string) string { return "sb" + instance + "-" }

// vethName is the host's end of the n-th endpoint.
func vethName(instance string, n uint64) string { return fmt.Sprintf("sv%s%x", instance, n) }

// ensureBridge makes the bridge of rec what it shall be, whatever is there of it.
func (d *Driver) ensureBridge(rec networkRecord) error {
	v4, v6 := families(rec.Pools)
	link, err := d.link.LinkByName(rec.Bridge)
	switch {
	case isNotFound(err):
		attrs := netlink.NewLinkAttrs()
		attrs.Name = rec.Bridge
		attrs.MTU = mtu(rec.Config)
		// A fixed address: a bridge without one takes over the lowest of its ports', and changes when they do,
		// which every container would have to learn.
		attrs.HardwareAddr = hardwareAddr(rec.Pools[0].Gateway)
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := d.link.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("cannot make bridge %s: %w", rec.Bridge, err)
		}
		if link, err = d.link.LinkByName(rec.Bridge); err != nil {
			return fmt.Errorf("cannot find bridge %s: %w", rec.Bridge, err)
		}
	case err != nil:
		return fmt.Errorf("cannot look for bridge %s: %w", rec.Bridge, err)
	case link.Type() != "bridge":
		return fmt.Errorf("cannot make bridge %s: a %s of that name exists; remove it (ip link del %s)", rec.Bridge, link.Type(), rec.Bridge)
	}
	failpoint.Hit("network.bridge.created")
	if err := bridgeSysctls(rec.Bridge, v4, v6); err != nil {
		return err
	}
	for _, p := range rec.Pools {
		if err := d.link.AddrReplace(link, address(netip.PrefixFrom(p.Gateway, p.Subnet.Bits()))); err != nil {
			return fmt.Errorf("cannot give %s to bridge %s: %w", p.Gateway, rec.Bridge, err)
		}
	}
	if err := d.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up bridge %s: %w", rec.Bridge, err)
	}
	return d.connect(rec, link.Attrs().Index)
}

// connect makes the routes to rec's subnets again.
func (d *Driver) connect(rec networkRecord, index int) error {
	have, err := connected(d.link)
	if err != nil {
		return err
	}
	for _, p := range rec.Pools {
		if slices.Contains(have[index], p.Subnet.Masked()) {
			continue
		}
		if err := connectSubnet(d.link, index, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())); err != nil {
			return fmt.Errorf("cannot route %s by bridge %s: %w", p.Subnet, rec.Bridge, err)
		}
	}
	return nil
}

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

// bridgeSysctls sets what bridgeSettings says.
func bridgeSysctls(bridge string, v4, v6 bool) error {
	for _, s := range bridgeSettings(bridge, v4, v6) {
		if err := writeSysctl(s.name, s.value); err != nil && !(s.optional && errors.Is(err, unix.ENOENT)) {
			return err
		}
	}
	return nil
}

// sysctl is a setting that a network needs, name in path form.
type sysctl struct {
	name, value string
	optional    bool // a kernel without it needs it not
}

func bridgeSettings(bridge string, v4, v6 bool) (all []sysctl) {
	if v4 {
		// Ports published on 127.0.0.1 are forwarded with a loopback source until postrouting masks it.
		all = append(all, sysctl{name: "net/ipv4/conf/" + bridge + "/route_localnet", value: "1"})
	}
	conf := "net/ipv6/conf/" + bridge + "/"
	if !v6 {
		// Else the host would answer on a link-local address that no rule knows of.
		return append(all, sysctl{conf + "disable_ipv6", "1", true})
	}
	return append(all,
		// Without duplicate address detection, during which the link-local address of the bridge would not hear the
		// containers' neighbour advertisements for its first second.
		sysctl{name: conf + "accept_dad", value: "0"},
		sysctl{name: conf + "accept_ra", value: "0"},
		sysctl{name: conf + "disable_ipv6", value: "0"},
	)
}

// settings are those of the host that r needs.
func (r networkRecord) settings() []sysctl {
	v4, v6 := families(r.Pools)
	all := bridgeSettings(r.Bridge, v4, v6)
	if r.Config.Internal {
		return all
	}
	if v4 {
		all = append(all, sysctl{name: forward4, value: "1"})
	}
	if v6 {
		all = append(all, sysctl{name: forward6, value: "1"})
	}
	return all
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

// removeBridge deletes the link. Its removal waits for the kernel's readers, some tens of milliseconds.
func (d *Driver) removeBridge(name string) error {
	link, err := d.link.LinkByName(name)
	if isNotFound(err) {
		return nil
	}
	if err == nil {
		// By a socket of its own: on d.link every other verb would wait for the answer.
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove bridge %s: %w", name, err)
	}
	return nil
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
	return strings.HasPrefix(link, "sb"+d.instance) || strings.HasPrefix(link, "sv"+d.instance)
}
