package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
)

// furnish fills the namespace that the calling thread is in, and that ns is an fd of.
func (d *Driver) furnish(ctx context.Context, r sandboxRecord, ns int) error {
	in, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("cannot open netlink in the new namespace: %w", err)
	}
	defer in.Close()
	for _, s := range namespaceDefaults {
		if err := writeSysctl(s.name, s.value); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	// lo is the first link of every namespace.
	if err := in.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	for _, ep := range r.Endpoints {
		if err := d.attach(in, ep, ns); err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	failpoint.Hit("network.setup.links")
	for _, route := range d.defaultRoutes(r.Endpoints) {
		if err := route.add(in); err != nil {
			return err
		}
	}
	if err := r.Config.setSysctls(); err != nil {
		return err
	}
	awaitLocal(ctx, in, r.addresses6()...)
	return nil
}

// addresses6 are those of IPv6.
func (r sandboxRecord) addresses6() (all []netip.Addr) {
	for _, ep := range r.Endpoints {
		if ep.Addr6.IsValid() {
			all = append(all, ep.Addr6.Addr())
		}
	}
	return all
}

// setSysctls sets those that the user asked for, in the namespace of the calling thread.
func (c SandboxConfig) setSysctls() error {
	for _, key := range slices.Sorted(maps.Keys(c.Sysctls)) {
		path, err := sysctlPath(key)
		if err != nil {
			return err
		}
		if err := writeSysctl(path, c.Sysctls[key]); err != nil {
			return err
		}
	}
	return nil
}

// namespaceDefaults are docker's for a container's own namespace, on which images rely, and what makes
// IPv6 addresses usable at once. A kernel without IPv6 has not all of them.
var namespaceDefaults = []struct{ name, value string }{
	{"net/ipv4/ip_unprivileged_port_start", "0"},
	{"net/ipv4/ping_group_range", "0 2147483647"},
	{"net/ipv6/conf/default/accept_dad", "0"},
	{"net/ipv6/conf/default/accept_ra", "0"},
	// New interfaces have IPv6 only where an endpoint has an IPv6 address. lo keeps ::1.
	{"net/ipv6/conf/default/disable_ipv6", "1"},
}

// attach makes ep's veth pair, one end on the bridge and the other in the namespace ns, whose handle is in.
func (d *Driver) attach(in *netlink.Handle, ep Endpoint, ns int) error {
	d.mu.Lock()
	n := d.networks[ep.Network]
	d.mu.Unlock()
	if n == nil {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %q was removed", ep.Network))
	}
	bridge, err := d.link.LinkByName(n.rec.Bridge)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", n.rec.Bridge, err)
	}
	mac := hardwareAddr(orElse(ep.Addr4.Addr(), ep.Addr6.Addr()))
	if ep.MAC != "" {
		if mac, err = net.ParseMAC(ep.MAC); err != nil {
			return errdefs.With(errdefs.ErrInvalidArgument, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.Flags = ep.HostLink, mtu(n.rec.Config), bridge.Attrs().Index, net.FlagUp
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerNamespace = ep.Interface, mac, netlink.NsFd(ns)
	if err := d.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("cannot make interface %s: %w", ep.Interface, err)
	}
	if bridgedDNAT() {
		if err := d.link.LinkSetHairpin(veth, true); err != nil {
			return fmt.Errorf("cannot set up %s on bridge %s: %w", ep.HostLink, n.rec.Bridge, err)
		}
	}
	inside, err := in.LinkByName(ep.Interface)
	if err != nil {
		return fmt.Errorf("cannot find interface %s: %w", ep.Interface, err)
	}
	if err := configure(in, inside, ep); err != nil {
		return err
	}
	return d.pin(in, inside, bridge, ep, mac)
}

// configure brings an endpoint's interface up, with its addresses, in the namespace of the calling thread, whose handle is in.
func configure(in *netlink.Handle, inside netlink.Link, ep Endpoint) error {
	if ep.Addr6.IsValid() {
		if err := writeSysctl("net/ipv6/conf/"+ep.Interface+"/disable_ipv6", "0"); err != nil {
			return err
		}
	}
	if err := in.LinkSetUp(inside); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", ep.Interface, err)
	}
	for _, p := range []netip.Prefix{ep.Addr4, ep.Addr6} {
		if !p.IsValid() {
			continue
		}
		if err := in.AddrReplace(inside, address(p)); err != nil {
			return fmt.Errorf("cannot give %s to %s: %w", p, ep.Interface, err)
		}
	}
	return nil
}

// bridgedDNAT says whether the host has br_netfilter on. Then a packet from a container to its own published port is
// translated while it still is in the bridge, which sends no frame back to the port that it came from, unless told to.
func bridgedDNAT() bool {
	b, err := os.ReadFile(sysctlRoot + "net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// defaultRoute leads out of a container.
type defaultRoute struct {
	iface   string
	gateway netip.Addr
}

// defaultRoutes are by the endpoint of highest GwPriority, of equals the first, among those whose network has a way out.
func (d *Driver) defaultRoutes(eps []Endpoint) (all []defaultRoute) {
	if ep, ok := d.gatewayEndpoint(eps, true); ok {
		all = append(all, defaultRoute{ep.Interface, ep.Gateway4})
	}
	if ep, ok := d.gatewayEndpoint(eps, false); ok {
		all = append(all, defaultRoute{ep.Interface, ep.Gateway6})
	}
	return all
}

func (r defaultRoute) add(in *netlink.Handle) error {
	link, err := in.LinkByName(r.iface)
	if err != nil {
		return fmt.Errorf("cannot find interface %s: %w", r.iface, err)
	}
	if err := in.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: r.gateway.AsSlice()}); err != nil {
		return fmt.Errorf("cannot route by %s: %w", r.gateway, err)
	}
	return nil
}

// gatewayEndpoint is the endpoint by which the container reaches the world, and the world its published ports.
func (d *Driver) gatewayEndpoint(eps []Endpoint, v4 bool) (best Endpoint, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ep := range eps {
		n := d.networks[ep.Network]
		addr := ep.Addr4
		if !v4 {
			addr = ep.Addr6
		}
		if n == nil || n.rec.Config.Internal || !addr.IsValid() {
			continue
		}
		if !ok || ep.GwPriority > best.GwPriority {
			best, ok = ep, true
		}
	}
	return best, ok
}
