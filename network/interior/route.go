package interior

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/rtnl"
)

// Route is a default one, which leads out of a container: by a gateway, or by all that there is on Interface where Gateway is not valid.
type Route struct {
	Interface string
	Gateway   netip.Addr
	V4        bool
}

func (r Route) String() string {
	if r.Gateway.IsValid() {
		return r.Gateway.String()
	}
	return r.Interface
}

// Add makes r.
func (r Route) Add(in *rtnl.Handle) error {
	link, err := in.LinkByName(r.Interface)
	if err != nil {
		return fmt.Errorf("cannot find interface %s: %w", r.Interface, err)
	}
	if err := in.RouteAdd(r.route(link.Attrs().Index)); err != nil {
		return fmt.Errorf("cannot route by %s: %w", r, err)
	}
	return nil
}

func (r Route) route(link int) *netlink.Route {
	if r.Gateway.IsValid() {
		return &netlink.Route{LinkIndex: link, Gw: r.Gateway.AsSlice()}
	}
	if r.V4 {
		return &netlink.Route{LinkIndex: link, Scope: netlink.SCOPE_LINK, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}
	}
	return &netlink.Route{LinkIndex: link, Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
}

// Remove takes r away, if it is there. With its interface it has gone.
func (r Route) Remove(in *rtnl.Handle) error {
	link, err := in.LinkByName(r.Interface)
	if err != nil {
		return nil
	}
	if err := in.RouteDel(r.route(link.Attrs().Index)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot remove the default route by %s: %w", r, err)
	}
	return nil
}
