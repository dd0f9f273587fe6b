package parent

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

var macvlanModes = map[string]netlink.MacvlanMode{
	"":                  netlink.MACVLAN_MODE_BRIDGE,
	"bridge":            netlink.MACVLAN_MODE_BRIDGE,  // they reach each other
	"private":           netlink.MACVLAN_MODE_PRIVATE, // they do not
	"vepa":              netlink.MACVLAN_MODE_VEPA,    // they do by a switch that sends frames back
	definition.Passthru: netlink.MACVLAN_MODE_PASSTHRU,
}

// macvlan: interfaces with a hardware address of their own.
type macvlan struct{}

func (macvlan) name() string { return definition.Macvlan }

func (macvlan) child(c definition.Config, attrs netlink.LinkAttrs, mac net.HardwareAddr) netlink.Link {
	mode := c.MacvlanMode()
	if mode != definition.Passthru { // that has the parent's
		attrs.HardwareAddr = mac
	}
	return &netlink.Macvlan{LinkAttrs: attrs, Mode: macvlanModes[mode]}
}

// tune gives an address that the user has chosen to an interface in mode passthru: the parent takes it on, for as long as that is there.
func (macvlan) tune(in *rtnl.Handle, c definition.Config, child netlink.Link, ep record.Endpoint) error {
	if c.MacvlanMode() != definition.Passthru || ep.MAC == "" {
		return nil
	}
	mac, err := ep.LinkAddr()
	if err != nil {
		return err
	}
	if err := in.LinkSetHardwareAddr(child, mac); err != nil {
		return fmt.Errorf("cannot give %s to %s and its parent: %w", mac, ep.Interface, err)
	}
	return nil
}

func (macvlan) lives(l netlink.Link, _ []netip.Prefix, ep record.Endpoint) bool {
	mac, err := ep.LinkAddr()
	return err == nil && l.Attrs().HardwareAddr.String() == mac.String()
}
