package network

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

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

// onParent is the medium of drivers macvlan and ipvlan: a container's interface is a link of its own on a link of the host, the parent, and
// its frames leave by that without the host's bridges, routes and firewall. The host is not the gateway: that is somebody on the wire, and
// the kernel lets nothing pass between the host itself and these interfaces.
//
// The parent is the host's, but for two kinds that docker makes too, and which go with their last network: a VLAN of a link (eth0.10), if it
// is not there, and for a network without a parent a dummy, behind which there is nothing.
type onParent struct {
	d    *Driver
	kind childKind
}

// childKind is what macvlan and ipvlan differ in.
type childKind interface {
	// name is the driver's, which is the kernel's name of the kind too.
	name() string
	// child is the interface to be made. Pure.
	child(c Config, attrs netlink.LinkAttrs, mac net.HardwareAddr) netlink.Link
	// tune does what cannot be said when it is made. The handle is in its namespace.
	tune(in *rtnl.Handle, c Config, child netlink.Link, ep Endpoint) error
	// lives says whether l, of this kind and on the parent, is that of ep under another name.
	lives(l netlink.Link, addrs []netip.Prefix, ep Endpoint) bool
}

func (onParent) firewall(record.Network) (nft.Network, bool) { return nft.Network{}, false }
func (onParent) hostLink(uint64) string                      { return "" }
func (onParent) lower(record.Network) error                  { return nil }
func (onParent) vacate(Config)                               {} // several can have one parent

// settings: the host itself is not on a link that it has for its containers: it takes no address there, and no route from what a router on the wire says.
func (onParent) settings(r record.Network) []sysctl.Setting {
	if !r.Made {
		return nil
	}
	conf := "net/ipv6/conf/" + r.Link + "/"
	return []sysctl.Setting{
		{Name: conf + "addr_gen_mode", Value: "1", Optional: true}, // none, IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
		{Name: conf + "accept_ra", Value: "0", Optional: true},
	}
}

func (p onParent) peer(r record.Network, _ Endpoint, v sight.Host) int {
	l := v.Links[r.Link]
	return p.below(l.Kind, l.Index, l.Under)
}

// below is the index of the link that the kernel puts an interface on which is to be on the link of that kind and index: what is itself on another one, under,
// has it there beside itself.
func (p onParent) below(kind string, index, under int) int {
	if kind == p.kind.name() || kind == strings.Replace(p.kind.name(), "lan", "tap", 1) {
		return under
	}
	return index
}

// reattach: when a parent goes, the interfaces on it go with it. Mend makes them anew.
func (onParent) reattach(context.Context, *network) error { return nil }

// vlan reads LINK.ID, the name of a VLAN of a link. IDs are of 12 bits, of which the lowest and the highest are reserved
// (IEEE 802.1Q, table 9-2).
func vlan(name string) (base string, id int, ok bool) {
	base, text, found := strings.Cut(name, ".")
	id, err := strconv.Atoi(text)
	return base, id, found && base != "" && err == nil && id >= 1 && id <= 4094 && strconv.Itoa(id) == text
}

// available wants the parent, or the link that it is to be a VLAN of, and a kernel that has the kinds of links.
func (p onParent) available(c Config) error {
	if err := p.d.hasKind(p.kind.name()); err != nil {
		return err
	}
	parent := c.Parent()
	if parent == "" {
		if err := p.d.hasKind("dummy"); err != nil {
			return fmt.Errorf("without driver option %s its containers are on a link of their own: %w", definition.OptParent, err)
		}
		return nil
	}
	r := record.Network{Config: c}
	p.d.mu.Lock()
	err := p.claim(&r)
	p.d.mu.Unlock()
	if err != nil {
		return aboutParent(err)
	}
	if r.Made {
		if _, lerr := p.d.link.LinkByName(r.Link); rtnl.IsNotFound(lerr) {
			return p.d.hasKind("vlan")
		}
	}
	return nil
}

// hasKind asks the kernel for a link of kind that cannot be made, and says whether that is because it does not know the kind.
func (d *Driver) hasKind(kind string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "probe" + d.instance
	// A multicast address is none for a link, and nothing is on a link that there is not: no kernel that knows the kind makes that.
	attrs.HardwareAddr, attrs.ParentIndex = net.HardwareAddr{1, 0, 0, 0, 0, 0}, math.MaxInt32
	link := &netlink.GenericLink{LinkAttrs: attrs, LinkType: kind}
	err := d.link.LinkAdd(link)
	if err == nil { // a kernel that takes it after all
		d.link.LinkDel(link)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("this kernel has no links of kind %s; load the module (modprobe %s), or use another kernel", kind, moduleOf(kind)))
	}
	return nil
}

func moduleOf(kind string) string {
	if kind == "vlan" {
		return "8021q"
	}
	return kind
}

// claim finds the parent, or decides that it is to be made.
func (p onParent) claim(r *record.Network) error {
	d := p.d
	r.Link = r.Config.Parent()
	if r.Link == "" {
		r.Link, r.Made = d.freeLink(func(i int) string { return dummyName(d.instance, i) }), true
		return nil
	}
	link, err := d.link.LinkByName(r.Link)
	if err != nil && !rtnl.IsNotFound(err) {
		return fmt.Errorf("cannot look for link %s: %w", r.Link, err)
	}
	if err == nil {
		r.Link = link.Attrs().Name // the user may know it by one of its other names
	}
	for _, o := range d.networks {
		if o.rec.Link != r.Link || o.rec.Config.ID == r.Config.ID {
			continue
		}
		r.Made = r.Made || o.rec.Made
		if o.rec.Deleting {
			continue
		}
		if err := r.Config.BesideOn(r.Link, o.rec.Config); err != nil {
			return err
		}
	}
	if own := d.networks[r.Config.ID]; own != nil && own.rec.Link == r.Link {
		r.Made = r.Made || own.rec.Made
	}
	switch {
	case err == nil:
		return d.free(link)
	case r.Made:
		return nil // one of ours that other hands have removed
	}
	base, id, ok := vlan(r.Link)
	if !ok {
		hint := ""
		if at, text, dotted := strings.Cut(r.Link, "."); dotted {
			hint = fmt.Sprintf("; %q is no VLAN of %s, which would be a number from 1 to 4094", text, at)
		}
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is no link of this host%s; `ip link` shows what there is", r.Link, hint))
	}
	if _, err := d.link.LinkByName(base); err != nil {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is to be VLAN %d of %s, which is no link of this host; `ip link` shows what there is", r.Link, id, base))
	}
	r.Made = true
	return nil
}

// aboutParent makes err one about the option that names the parent.
func aboutParent(err error) error {
	if definition.OptionOf(err) != "" {
		return err
	}
	return definition.AboutOption(definition.OptParent, err)
}

// free says why nothing can be put onto link, nil = it can. A port of a bridge hands all that it receives to that.
func (d *Driver) free(link netlink.Link) error {
	if link.Attrs().MasterIndex == 0 {
		return nil
	}
	master, err := d.link.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil || master.Type() != "bridge" && master.Type() != "openvswitch" {
		return nil // bonds and the like are found out when the first container comes
	}
	name := link.Attrs().Name
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s cannot be a parent: it is a port of bridge %s; use that as the parent", name, master.Attrs().Name))
}

// dummyName is the parent of the n-th network without one.
func dummyName(instance string, n int) string { return fmt.Sprintf("sd%s-%d", instance, n) }

// raise makes a parent that is the network's own. Another network may be about to remove it: hence the lock.
func (p onParent) raise(_ context.Context, r record.Network) error {
	d := p.d
	defer d.objects.lock("link " + r.Link)()
	link, err := d.link.LinkByName(r.Link)
	switch {
	case err != nil && !rtnl.IsNotFound(err):
		return fmt.Errorf("cannot look for link %s: %w", r.Link, err)
	case !r.Made && err != nil:
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is not there", r.Link))
	case !r.Made:
		return nil
	case err != nil:
		if link, err = d.makeParent(r); err != nil {
			return err
		}
	default:
		if err := isMade(r, link); err != nil {
			return err
		}
	}
	failpoint.Hit("network.create.parent")
	if err := sysctl.WriteAll(p.settings(r)); err != nil {
		return err
	}
	if err := d.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", r.Link, err)
	}
	return nil
}

// makeParent makes the VLAN or dummy of r.
func (d *Driver) makeParent(r record.Network) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = r.Link
	var link netlink.Link = &netlink.Dummy{LinkAttrs: attrs}
	if r.Config.Parent() != "" {
		base, id, _ := vlan(r.Link)
		on, err := d.link.LinkByName(base)
		if err != nil {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is to be VLAN %d of %s, which is not there", r.Link, id, base))
		}
		attrs.ParentIndex = on.Attrs().Index
		link = &netlink.Vlan{LinkAttrs: attrs, VlanId: id}
	}
	if err := d.link.LinkAdd(link); err != nil {
		return nil, fmt.Errorf("cannot make link %s: %w", r.Link, err)
	}
	link, err := d.link.LinkByName(r.Link)
	if err != nil {
		return nil, fmt.Errorf("cannot find link %s: %w", r.Link, err)
	}
	return link, nil
}

// isMade says whether link can be what makeParent makes for r, nil = it can.
func isMade(r record.Network, link netlink.Link) error {
	want := "dummy"
	if r.Config.Parent() != "" {
		want = "vlan"
	}
	if link.Type() != want {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot make link %s: a %s of that name exists; remove it (ip link del %s)", r.Link, link.Type(), r.Link))
	}
	return nil
}

// remove deletes a parent that was made, unless another network is on it.
func (p onParent) remove(n *network) error {
	d, r := p.d, n.rec
	if !r.Made {
		return nil
	}
	defer d.objects.lock("link " + r.Link)()
	d.mu.Lock()
	shared := false
	for _, o := range d.networks {
		shared = shared || o != n && o.rec.Link == r.Link && !o.rec.Deleting
	}
	d.mu.Unlock()
	if shared {
		return nil
	}
	link, err := d.link.LinkByName(r.Link)
	if rtnl.IsNotFound(err) {
		return nil
	}
	if err == nil && isMade(r, link) != nil {
		return nil // somebody else's, who has put it in the place of ours
	}
	if err == nil {
		err = netlink.LinkDel(link) // by a socket of its own, as for bridges
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove link %s: %w", r.Link, err)
	}
	return nil
}

func (p onParent) problem(r record.Network, v sight.Host) string {
	l, ok := v.Links[r.Link]
	switch {
	case !ok && r.Made:
		return "link " + r.Link + " is gone"
	case !ok:
		return "its parent " + r.Link + " is gone"
	case r.Made && !l.Up:
		return "link " + r.Link + " is down" // whether one of the host's is up is the host's affair
	}
	return sysctl.Problem(p.settings(r), v.Sysctls)
}

func (onParent) endpointProblem(record.Network, Endpoint, sight.Host) string { return "" } // all that there is of it is inside
