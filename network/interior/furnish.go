package interior

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sysctl"
)

// Prepare makes a new namespace what every container's is, before it has an interface. The calling thread is in it, and in is its handle.
func Prepare(in *rtnl.Handle) error {
	for _, s := range namespaceDefaults {
		if err := sysctl.Write(s.name, s.value); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	// lo is the first link of every namespace.
	if err := in.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}); err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
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

// loopback is the address of lo.
var loopback = netip.MustParsePrefix("127.0.0.1/8")

// Repair makes lo what it has to be again.
func Repair(in *rtnl.Handle) error {
	lo, err := in.LinkByName("lo")
	if err == nil {
		err = errors.Join(in.LinkSetUp(lo), in.AddrReplace(lo, &netlink.Addr{IPNet: &net.IPNet{IP: loopback.Addr().AsSlice(),
			Mask: net.CIDRMask(loopback.Bits(), 32)}, Scope: unix.RT_SCOPE_HOST}))
	}
	if err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	return nil
}

// Configure brings an endpoint's interface up, with its addresses, in the namespace of the calling thread, whose handle is in.
func Configure(in *rtnl.Handle, inside netlink.Link, ep record.Endpoint) error {
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

// SetSysctls sets those that the user asked for, in the namespace of the calling thread.
func SetSysctls(c definition.SandboxConfig) error {
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
func setInterfaceSysctls(ep record.Endpoint) error {
	for _, key := range slices.Sorted(maps.Keys(ep.Sysctls)) {
		part := strings.Split(key, ".")
		part[3] = ep.Interface
		if err := sysctl.Write(strings.Join(part, "/"), ep.Sysctls[key]); err != nil {
			return err
		}
	}
	return nil
}
