package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sysctl"
)

// furnish fills the namespace that the calling thread is in, and that ns is an fd of.
func (d *Driver) furnish(ctx context.Context, r record.Sandbox, ns int) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink in the new namespace: %w", err)
	}
	defer in.Close()
	for _, s := range namespaceDefaults {
		if err := sysctl.Write(s.name, s.value); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	// lo is the first link of every namespace.
	if err := in.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	for _, ep := range r.Endpoints {
		n, err := d.recorded(ep.Network)
		if err == nil {
			err = d.medium(n).attach(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	failpoint.Hit("network.setup.links")
	for _, route := range d.defaultRoutes(r.Endpoints) {
		if err := route.add(in); err != nil {
			return err
		}
	}
	if err := setSysctls(r.Config); err != nil {
		return err
	}
	in.AwaitLocal(ctx, r.Addresses6()...)
	return nil
}

// recorded is the record of network id.
func (d *Driver) recorded(id string) (record.Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.networks[id]
	if n == nil {
		return record.Network{}, errdefs.With(errdefs.ErrNotFound, errors.New("it does not exist"))
	}
	return n.rec, nil
}

// guests are the addresses of r that are of no subnet of their network, where the firewall has to know.
func (d *Driver) guests(r record.Sandbox) (all []nft.Guest) {
	for _, ep := range r.Endpoints {
		n, err := d.recorded(ep.Network)
		if err != nil {
			continue
		}
		if wall, ok := d.medium(n).firewall(n); ok {
			for _, a := range ep.LinkLocal {
				all = append(all, nft.Guest{Bridge: wall.Bridge, Addr: a})
			}
		}
	}
	return all
}

// setSysctls sets those that the user asked for, in the namespace of the calling thread.
func setSysctls(c SandboxConfig) error {
	for _, key := range slices.Sorted(maps.Keys(c.Sysctls)) {
		path, err := definition.SysctlPath(key)
		if err != nil {
			return err
		}
		if err := sysctl.Write(path, c.Sysctls[key]); err != nil {
			return err
		}
	}
	return nil
}

// setInterfaceSysctls sets those of ep's interface, in the namespace of the calling thread. A name with a dot in it is one path element.
func setInterfaceSysctls(ep Endpoint) error {
	for _, key := range slices.Sorted(maps.Keys(ep.Sysctls)) {
		part := strings.Split(key, ".")
		part[3] = ep.Interface
		if err := sysctl.Write(strings.Join(part, "/"), ep.Sysctls[key]); err != nil {
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

// configure brings an endpoint's interface up, with its addresses, in the namespace of the calling thread, whose handle is in.
func configure(in *rtnl.Handle, inside netlink.Link, ep Endpoint) error {
	if len(ep.Addresses6()) > 0 {
		if err := sysctl.Write("net/ipv6/conf/"+ep.Interface+"/disable_ipv6", "0"); err != nil {
			return err
		}
	}
	if err := setInterfaceSysctls(ep); err != nil {
		return err
	}
	if err := in.LinkSetUp(inside); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", ep.Interface, err)
	}
	for _, p := range ep.Prefixes() {
		if err := in.AddrReplace(inside, rtnl.Addr(p)); err != nil {
			return fmt.Errorf("cannot give %s to %s: %w", p, ep.Interface, err)
		}
	}
	return nil
}

// defaultRoute leads out of a container: by a gateway, or by all that there is on iface where that is not valid.
type defaultRoute struct {
	iface   string
	gateway netip.Addr
	v4      bool
}

func (r defaultRoute) String() string {
	if r.gateway.IsValid() {
		return r.gateway.String()
	}
	return r.iface
}

// defaultRoutes are by the endpoint of highest GwPriority, of equals the first, among those whose network has a way out.
func (d *Driver) defaultRoutes(eps []Endpoint) (all []defaultRoute) {
	if ep, ok := d.gatewayEndpoint(eps, true); ok {
		all = append(all, defaultRoute{ep.Interface, ep.Gateway4, true})
	}
	if ep, ok := d.gatewayEndpoint(eps, false); ok {
		all = append(all, defaultRoute{ep.Interface, ep.Gateway6, false})
	}
	return all
}

func (r defaultRoute) add(in *rtnl.Handle) error {
	link, err := in.LinkByName(r.iface)
	if err != nil {
		return fmt.Errorf("cannot find interface %s: %w", r.iface, err)
	}
	if err := in.RouteAdd(r.route(link.Attrs().Index)); err != nil {
		return fmt.Errorf("cannot route by %s: %w", r, err)
	}
	return nil
}

func (r defaultRoute) route(link int) *netlink.Route {
	if r.gateway.IsValid() {
		return &netlink.Route{LinkIndex: link, Gw: r.gateway.AsSlice()}
	}
	if r.v4 {
		return &netlink.Route{LinkIndex: link, Scope: netlink.SCOPE_LINK, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
	}
	return &netlink.Route{LinkIndex: link, Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
}

// publishingEndpoint is the endpoint by which the world reaches the published ports: that by which the answers leave. Not ok: there is none, or
// what comes by it passes the host by.
func (d *Driver) publishingEndpoint(eps []Endpoint, v4 bool) (Endpoint, bool) {
	ep, ok := d.gatewayEndpoint(eps, v4)
	if !ok {
		return ep, false
	}
	n, err := d.recorded(ep.Network)
	return ep, err == nil && n.Config.Publishes()
}

// gatewayEndpoint is the endpoint by which the container reaches the world.
func (d *Driver) gatewayEndpoint(eps []Endpoint, v4 bool) (best Endpoint, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ep := range eps {
		n := d.networks[ep.Network]
		addr := ep.Addr4
		if !v4 {
			addr = ep.Addr6
		}
		if n == nil || !n.rec.Config.Outward() || !addr.IsValid() {
			continue
		}
		if !ok || ep.GwPriority > best.GwPriority {
			best, ok = ep, true
		}
	}
	return best, ok
}

// hostLinks are the links that eps have on the host.
func hostLinks(eps []Endpoint) (names []string) {
	for _, ep := range eps {
		if ep.HostLink != "" {
			names = append(names, ep.HostLink)
		}
	}
	return names
}
