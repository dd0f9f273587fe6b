// Package bridge is the medium of driver bridge: a bridge of the host, which is the gateway, and for each container a veth pair with
// one end on it. What passes it goes by the firewall.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
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

// Bridges makes the bridges of one instance, and what containers have on them. Safe for concurrent use by who has the lock of
// the network, and of the container, that he asks for something of.
type Bridges struct {
	link     *rtnl.Handle     // of the host's namespace
	requests *nl.SocketHandle // likewise, for what link cannot say in one message
	fw       *nft.Firewall
	host     *sysctl.Host
	names    record.Names
}

// Open opens a socket of its own in the namespace of the calling thread, which is the host's.
func Open(link *rtnl.Handle, fw *nft.Firewall, host *sysctl.Host, names record.Names) (*Bridges, error) {
	socket, err := nl.GetNetlinkSocketAt(-1, -1, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &Bridges{link: link, requests: &nl.SocketHandle{Socket: socket}, fw: fw, host: host, names: names}, nil
}

// Close closes the socket.
func (b *Bridges) Close() { b.requests.Close() }

// Available wants that a name which the user has chosen is nobody's but of one of networks. Bridges need nothing that the host could lack.
func (b *Bridges) Available(c definition.Config, networks []record.Network) error {
	if slices.ContainsFunc(networks, func(o record.Network) bool { return o.Link == c.BridgeName() }) {
		return nil // ours
	}
	return b.unused(c.BridgeName())
}

// unused says why a bridge cannot have a name that the user has chosen, "" = none: the host has a link of that name. As the bridge of a network it would get addresses and
// settings, and go with the network.
func (b *Bridges) unused(name string) error {
	if name == "" {
		return nil
	}
	link, err := b.link.LinkByName(name)
	switch {
	case rtnl.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look for link %s: %w", name, err)
	}
	return definition.AboutOption(definition.OptBridge, errdefs.With(errdefs.ErrConflict, fmt.Errorf("a %s of the name %s is on this host already, and no network's: it would be removed with this one; choose another name", link.Type(), name)))
}

// Claim names the bridge of r, beside those of networks.
func (b *Bridges) Claim(r *record.Network, networks []record.Network) error {
	if r.Link = r.Config.BridgeName(); r.Link == "" {
		r.Link = record.Free(networks, b.names.Bridge)
	}
	for _, o := range networks {
		if o.Link == r.Link {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("bridge %s belongs to network %q", r.Link, o.Config.ID))
		}
	}
	return b.unused(r.Config.BridgeName())
}

// Firewall is what the host's firewall has to know of r.
func (*Bridges) Firewall(r record.Network) (nft.Network, bool) {
	return nft.Network{Bridge: r.Link, Internal: r.Config.Internal, Masquerade: r.Config.Masquerade()}, true
}

// Raise makes the firewall first: no packet crosses a bridge that it does not know.
func (b *Bridges) Raise(ctx context.Context, r record.Network) error {
	wall, _ := b.Firewall(r)
	if err := b.fw.AddNetwork(wall); err != nil {
		return err
	}
	if err := b.fw.Admit(); err != nil {
		return err
	}
	failpoint.Hit("network.create.firewall")
	if err := b.ensure(r); err != nil {
		return err
	}
	failpoint.Hit("network.create.bridge")
	for _, p := range r.Pools {
		b.link.AwaitLocal(ctx, p.Gateway)
	}
	if r.Config.Internal {
		return nil
	}
	v4, v6 := definition.Families(r.Pools)
	return b.host.Forward(v4, v6, b.names.Ours)
}

// Lower takes the network out of the firewall.
func (b *Bridges) Lower(r record.Network) error { return b.fw.DelNetwork(r.Link) }

// ensure makes the bridge of rec what it shall be, whatever is there of it.
func (b *Bridges) ensure(rec record.Network) error {
	v4, v6 := definition.Families(rec.Pools)
	link, err := b.link.LinkByName(rec.Link)
	switch {
	case rtnl.IsNotFound(err):
		attrs := netlink.NewLinkAttrs()
		attrs.Name = rec.Link
		attrs.MTU = rec.Config.MTU()
		// A fixed address: a bridge without one takes over the lowest of its ports', and changes when they do,
		// which every container would have to learn.
		attrs.HardwareAddr = record.LinkAddr(rec.Pools[0].Gateway)
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := b.link.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("cannot make bridge %s: %w", rec.Link, err)
		}
		if link, err = b.link.LinkByName(rec.Link); err != nil {
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
		if err := b.link.AddrReplace(link, rtnl.Addr(netip.PrefixFrom(p.Gateway, p.Subnet.Bits()))); err != nil {
			return fmt.Errorf("cannot give %s to bridge %s: %w", p.Gateway, rec.Link, err)
		}
	}
	if err := b.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up bridge %s: %w", rec.Link, err)
	}
	return b.connect(rec, link.Attrs().Index)
}

// connect makes the routes to rec's subnets again.
func (b *Bridges) connect(rec record.Network, index int) error {
	routes, err := b.link.Routes()
	if err != nil {
		return err
	}
	have := rtnl.Direct(routes)
	for _, p := range rec.Pools {
		if slices.Contains(have[index], p.Subnet.Masked()) {
			continue
		}
		if err := b.link.Connect(index, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())); err != nil {
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

// Settings are those of the host that r needs.
func (*Bridges) Settings(r record.Network) []sysctl.Setting {
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

// Remove deletes the link. Its removal waits for the kernel's readers, some tens of milliseconds.
func (b *Bridges) Remove(r record.Network) error {
	link, err := b.link.LinkByName(r.Link)
	if rtnl.IsNotFound(err) {
		return nil
	}
	if err == nil {
		// By a socket of its own: on b.link every other verb would wait for the answer.
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove bridge %s: %w", r.Link, err)
	}
	return nil
}

// Problem says what of r the host does not have, or has otherwise.
func (b *Bridges) Problem(r record.Network, v sight.Host) string {
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
	if wall, _ := b.Firewall(r); !v.Firewall.HasNetwork(wall) {
		return "the firewall does not know " + r.Link
	}
	if v.Firewall.Problem != "" {
		return v.Firewall.Problem
	}
	if v.Firewall.Blocked != "" {
		return "another firewall drops what goes through " + r.Link + ": chain " + v.Firewall.Blocked
	}
	return sysctl.Problem(b.Settings(r), v.Sysctls)
}
