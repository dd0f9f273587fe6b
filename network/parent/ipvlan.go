package parent

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

var (
	ipvlanModes = map[string]netlink.IPVlanMode{
		"":    netlink.IPVLAN_MODE_L2,
		"l2":  netlink.IPVLAN_MODE_L2,
		"l3":  netlink.IPVLAN_MODE_L3,
		"l3s": netlink.IPVLAN_MODE_L3S, // and the host's connection tracking sees it
	}
	ipvlanFlags = map[string]netlink.IPVlanFlag{
		"":        netlink.IPVLAN_FLAG_BRIDGE,
		"bridge":  netlink.IPVLAN_FLAG_BRIDGE,
		"private": netlink.IPVLAN_FLAG_PRIVATE,
		"vepa":    netlink.IPVLAN_FLAG_VEPA,
	}
)

// ipvlan: interfaces with the parent's hardware address, told apart by their IP addresses.
type ipvlan struct{}

func (ipvlan) name() string { return definition.IPvlan }

func (ipvlan) child(c definition.Config, attrs netlink.LinkAttrs, _ net.HardwareAddr) netlink.Link {
	return &netlink.IPVlan{LinkAttrs: attrs, Mode: ipvlanModes[c.IPvlanMode()], Flag: ipvlanFlags[c.IPvlanFlag()]}
}

func (ipvlan) tune(*rtnl.Handle, definition.Config, netlink.Link, record.Endpoint) error { return nil }

func (ipvlan) lives(_ netlink.Link, addrs []netip.Prefix, ep record.Endpoint) bool {
	return ep.Addr4.IsValid() && slices.Contains(addrs, ep.Addr4) || ep.Addr6.IsValid() && slices.Contains(addrs, ep.Addr6)
}
