package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// HostLink: the veth's end on the bridge.
func (b *Bridges) HostLink(n uint64) string { return b.names.Veth(n) }

// Peer is the index of the link that the interface of ep is to lead to.
func (*Bridges) Peer(_ record.Network, ep record.Endpoint, v sight.Host) int {
	return v.Links[ep.HostLink].Index
}

// EndpointProblem says what the host's side of ep is not.
func (*Bridges) EndpointProblem(r record.Network, ep record.Endpoint, v sight.Host) string {
	l, ok := v.Links[ep.HostLink]
	switch {
	case !ok:
		return fmt.Sprintf("its interface on network %q is gone", ep.Network)
	case l.On == 0 || l.On != v.Links[r.Link].Index:
		return fmt.Sprintf("its interface is not on the bridge of network %q", ep.Network)
	case !l.Up:
		return fmt.Sprintf("its interface on network %q is down on the host's side", ep.Network)
	}
	return ""
}

// Attach makes ep's veth pair, one end on the bridge and the other in the namespace.
func (b *Bridges) Attach(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) error {
	bridge, err := b.link.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", r.Link, err)
	}
	mac, err := ep.LinkAddr()
	if err != nil {
		return err
	}
	if err := b.addVeth(ep, mac, ns, r.Config.MTU(), bridge.Attrs().Index); err != nil {
		return fmt.Errorf("cannot make interface %s: %w", ep.Interface, err)
	}
	if bridgedDNAT() {
		veth, err := b.link.LinkByName(ep.HostLink)
		if err == nil {
			err = b.link.LinkSetHairpin(veth, true)
		}
		if err != nil {
			return fmt.Errorf("cannot set up %s on bridge %s: %w", ep.HostLink, r.Link, err)
		}
	}
	inside, err := in.LinkByName(ep.Interface)
	if err != nil {
		return fmt.Errorf("cannot find interface %s: %w", ep.Interface, err)
	}
	if err := interior.Configure(in, inside, ep); err != nil {
		return err
	}
	return b.pin(in, inside, bridge, ep, mac)
}

// addVeth makes the pair of ep in one message: the host's end up and on a bridge, the container's in the namespace ns with its
// hardware address. Each message waits for a lock that the kernel has one of (rtnl), and holds for milliseconds while it takes down a namespace.
func (b *Bridges) addVeth(ep record.Endpoint, mac net.HardwareAddr, ns, mtu, bridge int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: b.requests}
	outside := nl.NewIfInfomsg(unix.AF_UNSPEC)
	outside.Flags, outside.Change = unix.IFF_UP, unix.IFF_UP
	req.AddData(outside)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(ep.HostLink)))
	if mtu > 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC) // not up: it has no other end yet (veth_open)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(ep.Interface))
	if mtu > 0 {
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	}
	peer.AddRtAttr(unix.IFLA_ADDRESS, mac)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns)))
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// bridgedDNAT says whether the host has br_netfilter on. Then a packet from a container to its own published port is
// translated while it still is in the bridge, which sends no frame back to the port that it came from, unless told to.
func bridgedDNAT() bool {
	b, err := os.ReadFile(sysctl.Root + "net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// Rejoin repairs ep's veth pair, or makes it anew where an end is not what it was.
func (b *Bridges) Rejoin(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) (made bool, err error) {
	outside, err := b.link.LinkByName(ep.HostLink)
	if err != nil && !rtnl.IsNotFound(err) {
		return false, fmt.Errorf("cannot look for interface %s: %w", ep.HostLink, err)
	}
	inside, ierr := in.LinkByName(ep.Interface)
	if ierr != nil && !rtnl.IsNotFound(ierr) {
		return false, fmt.Errorf("cannot look for interface %s: %w", ep.Interface, ierr)
	}
	whole := err == nil && ierr == nil && inside.Attrs().ParentIndex == outside.Attrs().Index
	if whole {
		return false, b.reconnect(in, inside, outside, r, ep)
	}
	if err == nil { // its other end goes too, whatever that is called now
		// By a socket of the host's namespace, where the calling thread is not.
		if err := b.link.LinkDel(outside); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("cannot remove interface %s: %w", ep.HostLink, err)
		}
	}
	if inside, err := in.LinkByName(ep.Interface); err == nil && inside.Type() == "veth" {
		// Its end on the host was renamed, or moved to another namespace. One of another type is not ours, and attach will say so.
		if err := in.LinkDel(inside); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("cannot remove interface %s: %w", ep.Interface, err)
		}
	}
	return true, b.Attach(in, r, ep, ns)
}

// reconnect puts a veth pair that is whole back on its bridge, up and with its addresses.
func (b *Bridges) reconnect(in *rtnl.Handle, inside, outside netlink.Link, r record.Network, ep record.Endpoint) error {
	bridge, err := b.link.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", r.Link, err)
	}
	if err := b.plug(outside, bridge); err != nil {
		return err
	}
	if err := b.link.LinkSetUp(outside); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", ep.HostLink, err)
	}
	return interior.Configure(in, inside, ep)
}

// Reattach puts the links of eps, which are on r, back on a bridge that was made anew under them.
func (b *Bridges) Reattach(ctx context.Context, r record.Network, eps []record.Endpoint) error {
	bridge, err := b.link.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", r.Link, err)
	}
	var links []string
	for _, ep := range eps {
		links = append(links, ep.HostLink)
		link, err := b.link.LinkByName(ep.HostLink)
		if err != nil {
			continue // one that is gone is for Setup and Mend to make again
		}
		if err := b.plug(link, bridge); err != nil {
			return err
		}
	}
	b.link.AwaitCarrier(ctx, links...)
	return nil
}

// plug puts a container's link on its bridge, if it is not there. With the bridge that it was on go the settings of its port.
func (b *Bridges) plug(link, bridge netlink.Link) error {
	if link.Attrs().MasterIndex == bridge.Attrs().Index {
		return nil
	}
	err := b.link.LinkSetMaster(link, bridge)
	if err == nil && bridgedDNAT() {
		err = b.link.LinkSetHairpin(link, true)
	}
	if err != nil {
		return fmt.Errorf("cannot put %s on bridge %s: %w", link.Attrs().Name, bridge.Attrs().Name, err)
	}
	return nil
}

// Detach: a veth pair goes with the namespace that has one end of it, and holds nothing that the next one needs.
func (*Bridges) Detach(record.Network, record.Endpoint) error { return nil }

// Unplug removes ep's interface, by its end on the host.
func (b *Bridges) Unplug(_ record.Network, ep record.Endpoint) error {
	link, err := b.link.LinkByName(ep.HostLink)
	if err == nil {
		err = b.link.LinkDel(link)
	}
	if err != nil && !rtnl.IsNotFound(err) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove interface %s: %w", ep.HostLink, err)
	}
	return nil
}
