package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/errdefs"
)

// Docker's names.
const (
	optIPvlanMode = "ipvlan_mode" // at which layer frames are handed on
	optIPvlanFlag = "ipvlan_flag" // how the interfaces on one parent are to each other, as with macvlan
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

func (ipvlan) name() string { return driverIPvlan }

func (ipvlan) options() []option {
	return []option{{optIPvlanMode, oneOf("l2", "l3", "l3s")}, {optIPvlanFlag, oneOf("bridge", "private", "vepa")}}
}

func (ipvlan) checkEndpoint(ep EndpointConfig) error {
	if ep.MAC != "" {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use mac_address %s: on a network of driver ipvlan all interfaces have the parent's; remove it, or use macvlan", ep.MAC))
	}
	return nil
}

// gateway: above layer 2 nobody is asked where somebody is, and the parent's side routes what comes.
func (ipvlan) gateway(c Config) bool {
	return ipvlanModes[c.DriverOpts[optIPvlanMode]] == netlink.IPVLAN_MODE_L2
}

func (ipvlan) apart(a, b Config) error {
	return errors.New("mode and flag of ipvlan are the parent's, so that it has one network")
}

func (ipvlan) child(c Config, attrs netlink.LinkAttrs, _ net.HardwareAddr) netlink.Link {
	return &netlink.IPVlan{LinkAttrs: attrs, Mode: ipvlanModes[c.DriverOpts[optIPvlanMode]], Flag: ipvlanFlags[c.DriverOpts[optIPvlanFlag]]}
}

func (ipvlan) tune(*netlink.Handle, Config, netlink.Link, Endpoint) error { return nil }

func (ipvlan) lives(_ netlink.Link, addrs []netip.Prefix, ep Endpoint) bool {
	return ep.Addr4.IsValid() && slices.Contains(addrs, ep.Addr4) || ep.Addr6.IsValid() && slices.Contains(addrs, ep.Addr6)
}
