package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/nft"
)

// onBridge is the medium of driver bridge: a bridge of the host, which is the gateway, and for each container a veth pair with
// one end on it. What passes it goes by the firewall.
type onBridge struct{ d *Driver }

// checkEndpoint: a veth takes all that an endpoint can say.
func (onBridge) checkEndpoint(Config, EndpointConfig) error { return nil }

func (onBridge) wantsGateway(Config) bool { return true }
func (onBridge) outward(c Config) bool    { return !c.Internal }
func (onBridge) publishes(c Config) bool  { return !c.Internal }
func (onBridge) onHost() bool             { return true }

// available wants that a name which the user has chosen is nobody's. Bridges need nothing that the host could lack; what addresses clash with, allocate finds.
func (b onBridge) available(c Config) error {
	name := c.DriverOpts[optBridge]
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	for _, o := range b.d.networks {
		if o.rec.Link == name {
			return nil // ours
		}
	}
	return b.unused(name)
}

// unused says why a bridge cannot have a name that the user has chosen, "" = none: the host has a link of that name. As the bridge of a network it would get addresses and
// settings, and go with the network.
func (b onBridge) unused(name string) error {
	if name == "" {
		return nil
	}
	link, err := b.d.link.LinkByName(name)
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look for link %s: %w", name, err)
	}
	return optionError{optBridge, errdefs.With(errdefs.ErrConflict, fmt.Errorf("a %s of the name %s is on this host already, and no network's: it would be removed with this one; choose another name", link.Type(), name))}
}

// bridgeName is the name of the n-th bridge of an instance; IFNAMSIZ leaves 15 characters.
func bridgeName(instance string, n int) string { return fmt.Sprintf("%s%d", bridgePrefix(instance), n) }

// bridgePrefix is what the names of all of the instance's bridges begin with.
func bridgePrefix(instance string) string { return "sb" + instance + "-" }

// vethName is the host's end of the n-th endpoint.
func vethName(instance string, n uint64) string { return fmt.Sprintf("sv%s%x", instance, n) }

func (b onBridge) vacate(c Config) {
	b.d.mu.Lock()
	var gone []*network
	for _, o := range b.d.networks {
		if o.rec.Deleting && o.rec.Link == c.DriverOpts[optBridge] {
			gone = append(gone, o)
		}
	}
	b.d.mu.Unlock()
	for _, o := range gone {
		b.d.finishDelete(o)
	}
}

// claim names the bridge.
func (b onBridge) claim(r *networkRecord) error {
	r.Link = b.free(r.Config)
	for _, o := range b.d.networks {
		if o.rec.Link == r.Link {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("bridge %s belongs to network %q", r.Link, o.rec.Config.ID))
		}
	}
	return b.unused(r.Config.DriverOpts[optBridge])
}

// free is the name that c asks for, or the first that no network has.
func (b onBridge) free(c Config) string {
	if name := c.DriverOpts[optBridge]; name != "" {
		return name
	}
	return b.d.freeLink(func(i int) string { return bridgeName(b.d.instance, i) })
}

// freeLink is the first name that no network's link has. Precondition: d.mu is held.
func (d *Driver) freeLink(name func(i int) string) string {
	used := map[string]bool{}
	for _, n := range d.networks {
		used[n.rec.Link] = true
	}
	for i := 0; ; i++ {
		if n := name(i); !used[n] {
			return n
		}
	}
}

func (onBridge) firewall(r networkRecord) (nft.Network, bool) {
	masquerade, err := strconv.ParseBool(r.Config.DriverOpts[optMasquerade])
	return nft.Network{Bridge: r.Link, Internal: r.Config.Internal, Masquerade: masquerade || err != nil}, true
}

// raise makes the firewall first: no packet crosses a bridge that it does not know.
func (b onBridge) raise(ctx context.Context, r networkRecord) error {
	wall, _ := b.firewall(r)
	if err := b.d.fw.AddNetwork(wall); err != nil {
		return err
	}
	if err := b.d.fw.Admit(); err != nil {
		return err
	}
	failpoint.Hit("network.create.firewall")
	if err := b.ensure(r); err != nil {
		return err
	}
	failpoint.Hit("network.create.bridge")
	for _, p := range r.Pools {
		awaitLocal(ctx, b.d.link, p.Gateway)
	}
	if r.Config.Internal {
		return nil
	}
	return b.d.enableForwarding(families(r.Pools))
}

// lower takes the network out of the firewall.
func (b onBridge) lower(r networkRecord) error { return b.d.fw.DelNetwork(r.Link) }

// ensure makes the bridge of rec what it shall be, whatever is there of it.
func (b onBridge) ensure(rec networkRecord) error {
	d := b.d
	v4, v6 := families(rec.Pools)
	link, err := d.link.LinkByName(rec.Link)
	switch {
	case isNotFound(err):
		attrs := netlink.NewLinkAttrs()
		attrs.Name = rec.Link
		attrs.MTU = mtu(rec.Config)
		// A fixed address: a bridge without one takes over the lowest of its ports', and changes when they do,
		// which every container would have to learn.
		attrs.HardwareAddr = hardwareAddr(rec.Pools[0].Gateway)
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := d.link.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("cannot make bridge %s: %w", rec.Link, err)
		}
		if link, err = d.link.LinkByName(rec.Link); err != nil {
			return fmt.Errorf("cannot find bridge %s: %w", rec.Link, err)
		}
	case err != nil:
		return fmt.Errorf("cannot look for bridge %s: %w", rec.Link, err)
	case link.Type() != "bridge":
		return fmt.Errorf("cannot make bridge %s: a %s of that name exists; remove it (ip link del %s)", rec.Link, link.Type(), rec.Link)
	}
	failpoint.Hit("network.bridge.created")
	if err := writeSysctls(bridgeSettings(rec.Link, v4, v6)); err != nil {
		return err
	}
	for _, p := range rec.Pools {
		if err := d.link.AddrReplace(link, address(netip.PrefixFrom(p.Gateway, p.Subnet.Bits()))); err != nil {
			return fmt.Errorf("cannot give %s to bridge %s: %w", p.Gateway, rec.Link, err)
		}
	}
	if err := d.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up bridge %s: %w", rec.Link, err)
	}
	return b.connect(rec, link.Attrs().Index)
}

// connect makes the routes to rec's subnets again.
func (b onBridge) connect(rec networkRecord, index int) error {
	d := b.d
	have, err := connected(d.link)
	if err != nil {
		return err
	}
	for _, p := range rec.Pools {
		if slices.Contains(have[index], p.Subnet.Masked()) {
			continue
		}
		if err := connectSubnet(d.link, index, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())); err != nil {
			return fmt.Errorf("cannot route %s by bridge %s: %w", p.Subnet, rec.Link, err)
		}
	}
	return nil
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

func (onBridge) settings(r networkRecord) []sysctl {
	v4, v6 := families(r.Pools)
	all := bridgeSettings(r.Link, v4, v6)
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

// remove deletes the link. Its removal waits for the kernel's readers, some tens of milliseconds.
func (b onBridge) remove(n *network) error {
	link, err := b.d.link.LinkByName(n.rec.Link)
	if isNotFound(err) {
		return nil
	}
	if err == nil {
		// By a socket of its own: on d.link every other verb would wait for the answer.
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove bridge %s: %w", n.rec.Link, err)
	}
	return nil
}

func (b onBridge) problem(r networkRecord, v sight) string {
	l, ok := v.links[r.Link]
	switch {
	case !ok:
		return "link " + r.Link + " is gone"
	case !l.up:
		return "link " + r.Link + " is down"
	}
	for _, p := range r.Pools {
		if !slices.Contains(l.addrs, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())) {
			return fmt.Sprintf("link %s has lost the address %s", r.Link, p.Gateway)
		}
		if !slices.Contains(v.routes[l.index], p.Subnet.Masked()) {
			return fmt.Sprintf("the host has no route to %s by link %s", p.Subnet.Masked(), r.Link)
		}
	}
	if wall, _ := b.firewall(r); !v.fw.HasNetwork(wall) {
		return "the firewall does not know " + r.Link
	}
	if v.fw.Problem != "" {
		return v.fw.Problem
	}
	if v.fw.Blocked != "" {
		return "another firewall drops what goes through " + r.Link + ": chain " + v.fw.Blocked
	}
	return v.sysctlProblem(b.settings(r))
}
