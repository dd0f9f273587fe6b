package network

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

// hostLink: the veth's end on the bridge.
func (b onBridge) hostLink(n uint64) string { return vethName(b.d.instance, n) }

func (onBridge) peer(_ record.Network, ep Endpoint, v sight.Host) int {
	return v.Links[ep.HostLink].Index
}

func (onBridge) endpointProblem(r record.Network, ep Endpoint, v sight.Host) string {
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

// attach makes ep's veth pair, one end on the bridge and the other in the namespace.
func (b onBridge) attach(in *rtnl.Handle, r record.Network, ep Endpoint, ns int) error {
	d := b.d
	bridge, err := d.link.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", r.Link, err)
	}
	mac, err := ep.LinkAddr()
	if err != nil {
		return err
	}
	if err := d.addVeth(ep, mac, ns, r.Config.MTU(), bridge.Attrs().Index); err != nil {
		return fmt.Errorf("cannot make interface %s: %w", ep.Interface, err)
	}
	if bridgedDNAT() {
		veth, err := d.link.LinkByName(ep.HostLink)
		if err == nil {
			err = d.link.LinkSetHairpin(veth, true)
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
	return d.pin(in, inside, bridge, ep, mac)
}

// addVeth makes the pair of ep in one message: the host's end up and on a bridge, the container's in the namespace ns with its
// hardware address. Each message waits for a lock that the kernel has one of (rtnl), and holds for milliseconds while it takes down a namespace.
func (d *Driver) addVeth(ep Endpoint, mac net.HardwareAddr, ns, mtu, bridge int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: d.requests}
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

// rejoin repairs ep's veth pair, or makes it anew where an end is not what it was.
func (b onBridge) rejoin(in *rtnl.Handle, r record.Network, ep Endpoint, ns int) (made bool, err error) {
	d := b.d
	outside, err := d.link.LinkByName(ep.HostLink)
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
		if err := d.link.LinkDel(outside); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("cannot remove interface %s: %w", ep.HostLink, err)
		}
	}
	if inside, err := in.LinkByName(ep.Interface); err == nil && inside.Type() == "veth" {
		// Its end on the host was renamed, or moved to another namespace. One of another type is not ours, and attach will say so.
		if err := in.LinkDel(inside); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("cannot remove interface %s: %w", ep.Interface, err)
		}
	}
	return true, b.attach(in, r, ep, ns)
}

// reconnect puts a veth pair that is whole back on its bridge, up and with its addresses.
func (b onBridge) reconnect(in *rtnl.Handle, inside, outside netlink.Link, r record.Network, ep Endpoint) error {
	d := b.d
	bridge, err := d.link.LinkByName(r.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", r.Link, err)
	}
	if err := b.plug(outside, bridge); err != nil {
		return err
	}
	if err := d.link.LinkSetUp(outside); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", ep.HostLink, err)
	}
	return interior.Configure(in, inside, ep)
}

// reattach puts the containers' links back on a bridge that was made anew under them.
func (b onBridge) reattach(ctx context.Context, n *network) error {
	d := b.d
	bridge, err := d.link.LinkByName(n.rec.Link)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", n.rec.Link, err)
	}
	d.mu.Lock()
	var eps []Endpoint
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == n.rec.Config.ID {
				eps = append(eps, ep)
			}
		}
	}
	d.mu.Unlock()
	for _, ep := range eps {
		link, err := d.link.LinkByName(ep.HostLink)
		if err != nil {
			continue // one that is gone is for Setup and Mend to make again
		}
		if err := b.plug(link, bridge); err != nil {
			return err
		}
	}
	d.link.AwaitCarrier(ctx, hostLinks(eps)...)
	return nil
}

// plug puts a container's link on its bridge, if it is not there. With the bridge that it was on go the settings of its port.
func (b onBridge) plug(link, bridge netlink.Link) error {
	if link.Attrs().MasterIndex == bridge.Attrs().Index {
		return nil
	}
	err := b.d.link.LinkSetMaster(link, bridge)
	if err == nil && bridgedDNAT() {
		err = b.d.link.LinkSetHairpin(link, true)
	}
	if err != nil {
		return fmt.Errorf("cannot put %s on bridge %s: %w", link.Attrs().Name, bridge.Attrs().Name, err)
	}
	return nil
}

// detach: a veth pair goes with the namespace that has one end of it, and holds nothing that the next one needs.
func (onBridge) detach(record.Network, Endpoint) error { return nil }
