package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// onBridge is the medium of driver bridge: a bridge of the host, which is the gateway, and for each container a veth pair with
// one end on it. What passes it goes by the firewall.
type onBridge struct{ d *Driver }

// available wants that a name which the user has chosen is nobody's. Bridges need nothing that the host could lack; what addresses clash with, allocate finds.
func (b onBridge) available(c Config) error {
	name := c.BridgeName()
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
	case rtnl.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look for link %s: %w", name, err)
	}
	return definition.AboutOption(definition.OptBridge, errdefs.With(errdefs.ErrConflict, fmt.Errorf("a %s of the name %s is on this host already, and no network's: it would be removed with this one; choose another name", link.Type(), name)))
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
		if o.rec.Deleting && o.rec.Link == c.BridgeName() {
			gone = append(gone, o)
		}
	}
	b.d.mu.Unlock()
	for _, o := range gone {
		b.d.finishDelete(o)
	}
}

// claim names the bridge.
func (b onBridge) claim(r *record.Network) error {
	r.Link = b.free(r.Config)
	for _, o := range b.d.networks {
		if o.rec.Link == r.Link {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("bridge %s belongs to network %q", r.Link, o.rec.Config.ID))
		}
	}
	return b.unused(r.Config.BridgeName())
}

// free is the name that c asks for, or the first that no network has.
func (b onBridge) free(c Config) string {
	if name := c.BridgeName(); name != "" {
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

func (onBridge) firewall(r record.Network) (nft.Network, bool) {
	return nft.Network{Bridge: r.Link, Internal: r.Config.Internal, Masquerade: r.Config.Masquerade()}, true
}

// raise makes the firewall first: no packet crosses a bridge that it does not know.
func (b onBridge) raise(ctx context.Context, r record.Network) error {
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
		b.d.link.AwaitLocal(ctx, p.Gateway)
	}
	if r.Config.Internal {
		return nil
	}
	v4, v6 := definition.Families(r.Pools)
	return b.d.sysctls.Forward(v4, v6, b.d.isOurs)
}

// lower takes the network out of the firewall.
func (b onBridge) lower(r record.Network) error { return b.d.fw.DelNetwork(r.Link) }

// ensure makes the bridge of rec what it shall be, whatever is there of it.
func (b onBridge) ensure(rec record.Network) error {
	d := b.d
	v4, v6 := definition.Families(rec.Pools)
	link, err := d.link.LinkByName(rec.Link)
	switch {
	case rtnl.IsNotFound(err):
		attrs := netlink.NewLinkAttrs()
		attrs.Name = rec.Link
		attrs.MTU = rec.Config.MTU()
		// A fixed address: a bridge without one takes over the lowest of its ports', and changes when they do,
		// which every container would have to learn.
		attrs.HardwareAddr = record.LinkAddr(rec.Pools[0].Gateway)
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
	if err := sysctl.WriteAll(bridgeSettings(rec.Link, v4, v6)); err != nil {
		return err
	}
	for _, p := range rec.Pools {
		if err := d.link.AddrReplace(link, rtnl.Addr(netip.PrefixFrom(p.Gateway, p.Subnet.Bits()))); err != nil {
			return fmt.Errorf("cannot give %s to bridge %s: %w", p.Gateway, rec.Link, err)
		}
	}
	if err := d.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up bridge %s: %w", rec.Link, err)
	}
	return b.connect(rec, link.Attrs().Index)
}

// connect makes the routes to rec's subnets again.
func (b onBridge) connect(rec record.Network, index int) error {
	d := b.d
	routes, err := d.link.Routes()
	if err != nil {
		return err
	}
	have := rtnl.Direct(routes)
	for _, p := range rec.Pools {
		if slices.Contains(have[index], p.Subnet.Masked()) {
			continue
		}
		if err := d.link.Connect(index, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())); err != nil {
			return fmt.Errorf("cannot route %s by bridge %s: %w", p.Subnet, rec.Link, err)
		}
	}
	return nil
}

func bridgeSettings(bridge string, v4, v6 bool) (all []sysctl.Setting) {
	if v4 {
		// Ports published on 127.0.0.1 are forwarded with a loopback source until postrouting masks it.
		all = append(all, sysctl.Setting{Name: "net/ipv4/conf/" + bridge + "/route_localnet", Value: "1"})
	}
	conf := "net/ipv6/conf/" + bridge + "/"
	if !v6 {
		// Else the host would answer on a link-local address that no rule knows of.
		return append(all, sysctl.Setting{Name: conf + "disable_ipv6", Value: "1", Optional: true})
	}
	return append(all,
		// Without duplicate address detection, during which the link-local address of the bridge would not hear the
		// containers' neighbour advertisements for its first second.
		sysctl.Setting{Name: conf + "accept_dad", Value: "0"},
		sysctl.Setting{Name: conf + "accept_ra", Value: "0"},
		sysctl.Setting{Name: conf + "disable_ipv6", Value: "0"},
	)
}

func (onBridge) settings(r record.Network) []sysctl.Setting {
	v4, v6 := definition.Families(r.Pools)
	all := bridgeSettings(r.Link, v4, v6)
	if r.Config.Internal {
		return all
	}
	if v4 {
		all = append(all, sysctl.Setting{Name: sysctl.Forward4, Value: "1"})
	}
	if v6 {
		all = append(all, sysctl.Setting{Name: sysctl.Forward6, Value: "1"})
	}
	return all
}

// remove deletes the link. Its removal waits for the kernel's readers, some tens of milliseconds.
func (b onBridge) remove(n *network) error {
	link, err := b.d.link.LinkByName(n.rec.Link)
	if rtnl.IsNotFound(err) {
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

func (b onBridge) problem(r record.Network, v sight.Host) string {
	l, ok := v.Links[r.Link]
	switch {
	case !ok:
		return "link " + r.Link + " is gone"
	case !l.Up:
		return "link " + r.Link + " is down"
	}
	for _, p := range r.Pools {
		if !slices.Contains(l.Addrs, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())) {
			return fmt.Sprintf("link %s has lost the address %s", r.Link, p.Gateway)
		}
		if !slices.Contains(v.Routes[l.Index], p.Subnet.Masked()) {
			return fmt.Sprintf("the host has no route to %s by link %s", p.Subnet.Masked(), r.Link)
		}
	}
	if wall, _ := b.firewall(r); !v.Firewall.HasNetwork(wall) {
		return "the firewall does not know " + r.Link
	}
	if v.Firewall.Problem != "" {
		return v.Firewall.Problem
	}
	if v.Firewall.Blocked != "" {
		return "another firewall drops what goes through " + r.Link + ": chain " + v.Firewall.Blocked
	}
	return sysctl.Problem(b.settings(r), v.Sysctls)
}
