package bridge

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// pin writes down for good who the gateway is, for the container, and who the container is, for the host. Without that any container of
// the network, all of which can send raw packets by default (CAP_NET_RAW), takes either's place by claiming its address: ARP
// (RFC 826) and neighbour discovery (RFC 4861) believe whoever answers. Between two containers that remains possible.
//
// What is written on the bridge goes with it. An address that a later container gets is written anew.
func (b *Bridges) pin(in *rtnl.Handle, inside, bridge netlink.Link, ep record.Endpoint, mac net.HardwareAddr) error {
	for _, a := range []struct {
		addr, gateway netip.Addr
	}{{ep.Addr4.Addr(), ep.Gateway4}, {ep.Addr6.Addr(), ep.Gateway6}} {
		if a.gateway.IsValid() {
			if err := in.NeighSet(permanent(inside, a.gateway, bridge.Attrs().HardwareAddr)); err != nil {
				return fmt.Errorf("cannot write down where the gateway %s of %s is: %w", a.gateway, ep.Interface, err)
			}
		}
		if a.addr.IsValid() {
			if err := b.link.NeighSet(permanent(bridge, a.addr, mac)); err != nil {
				return fmt.Errorf("cannot write down where %s on bridge %s is: %w", a.addr, bridge.Attrs().Name, err)
			}
		}
	}
	return nil
}

func permanent(link netlink.Link, a netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: link.Attrs().Index, State: unix.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac}
}
