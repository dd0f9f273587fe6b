package network

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// optMacvlanMode is how the interfaces on one parent are to each other. Docker's name.
const optMacvlanMode = "macvlan_mode"

// passthru gives the parent to one container: it has the parent's address, and receives all.
const passthru = "passthru"

var macvlanModes = map[string]netlink.MacvlanMode{
	"":         netlink.MACVLAN_MODE_BRIDGE,
	"bridge":   netlink.MACVLAN_MODE_BRIDGE,  // they reach each other
	"private":  netlink.MACVLAN_MODE_PRIVATE, // they do not
	"vepa":     netlink.MACVLAN_MODE_VEPA,    // they do by a switch that sends frames back
	"passthru": netlink.MACVLAN_MODE_PASSTHRU,
}

// macvlan: interfaces with a hardware address of their own.
type macvlan struct{}

func (macvlan) name() string { return driverMacvlan }

func (macvlan) options() []option {
	return []option{{optMacvlanMode, oneOf("bridge", "private", "vepa", passthru)}}
}

func (macvlan) checkEndpoint(EndpointConfig) error { return nil }

func (macvlan) gateway(Config) bool { return true }

func (macvlan) apart(a, b Config) error {
	if a.DriverOpts[optMacvlanMode] == passthru || b.DriverOpts[optMacvlanMode] == passthru {
		return fmt.Errorf("%s %s takes a parent for itself", optMacvlanMode, passthru)
	}
	return nil
}

func (macvlan) child(c Config, attrs netlink.LinkAttrs, mac net.HardwareAddr) netlink.Link {
	mode := c.DriverOpts[optMacvlanMode]
	if mode != passthru { // that has the parent's
		attrs.HardwareAddr = mac
	}
	return &netlink.Macvlan{LinkAttrs: attrs, Mode: macvlanModes[mode]}
}

// tune gives an address that the user has chosen to an interface in mode passthru: the parent takes it on, for as long as that is there.
func (macvlan) tune(in *netlink.Handle, c Config, child netlink.Link, ep Endpoint) error {
	if c.DriverOpts[optMacvlanMode] != passthru || ep.MAC == "" {
		return nil
	}
	mac, err := ep.hardwareAddr()
	if err != nil {
		return err
	}
	if err := in.LinkSetHardwareAddr(child, mac); err != nil {
		return fmt.Errorf("cannot give %s to %s and its parent: %w", mac, ep.Interface, err)
	}
	return nil
}

func (macvlan) lives(l netlink.Link, _ []netip.Prefix, ep Endpoint) bool {
	mac, err := ep.hardwareAddr()
	return err == nil && l.Attrs().HardwareAddr.String() == mac.String()
}
