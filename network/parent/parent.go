// Package parent is the medium of drivers macvlan and ipvlan: a container's interface is a link of its own on a link of the host, the parent, and
// its frames leave by that without the host's bridges, routes and firewall. The host is not the gateway: that is somebody on the wire, and
// the kernel lets nothing pass between the host itself and these interfaces.
//
// The parent is the host's, but for two kinds that docker makes too, and which go with their last network: a VLAN of a link (eth0.10), if it
// is not there, and for a network without a parent a dummy, behind which there is nothing.
package parent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// Networks are those that there are, of this medium and of others.
type Networks interface {
	Records() []record.Network
}

// Parents makes those links that are not the host's own. Safe for concurrent use.
type Parents struct {
	link     *rtnl.Handle // of the host's namespace
	names    record.Names
	networks Networks
	locks    keylock.Locks // by link: several networks can have one
}

// New are the parents of networks, whose names are by names.
func New(link *rtnl.Handle, names record.Names, networks Networks) *Parents {
	return &Parents{link: link, names: names, networks: networks}
}

// Macvlan is the medium of that driver.
func (p *Parents) Macvlan() Medium { return Medium{p, macvlan{}} }

// IPvlan is the medium of that driver.
func (p *Parents) IPvlan() Medium { return Medium{p, ipvlan{}} }

// lock locks a link, and returns what unlocks it.
func (p *Parents) lock(link string) (unlock func()) {
	unlock, _ = p.locks.Lock(context.Background(), link) // which does not end
	return unlock
}

// Medium is Parents for one kind of interfaces. Safe for concurrent use by who has the lock of the network, and of the container, that he asks for something of.
type Medium struct {
	all  *Parents
	kind childKind
}

// childKind is what macvlan and ipvlan differ in.
type childKind interface {
	// name is the driver's, which is the kernel's name of the kind too.
	name() string
	// child is the interface to be made. Pure.
	child(c definition.Config, attrs netlink.LinkAttrs, mac net.HardwareAddr) netlink.Link
	// tune does what cannot be said when it is made. The handle is in its namespace.
	tune(in *rtnl.Handle, c definition.Config, child netlink.Link, ep record.Endpoint) error
	// lives says whether l, of this kind and on the parent, is that of ep under another name.
	lives(l netlink.Link, addrs []netip.Prefix, ep record.Endpoint) bool
}

// Firewall is nothing: packets do not pass it.
func (Medium) Firewall(record.Network) (nft.Network, bool) { return nft.Network{}, false }

// HostLink is none: all that there is of an endpoint is inside.
func (Medium) HostLink(uint64) string { return "" }

// Lower has nothing to do: the kernel lets nothing pass between the host and these interfaces.
func (Medium) Lower(record.Network) error { return nil }

// Settings: the host itself is not on a link that it has for its containers: it takes no address there, and no route from what a router on the wire says.
func (Medium) Settings(r record.Network) []sysctl.Setting {
	if !r.Made {
		return nil
	}
	conf := "net/ipv6/conf/" + r.Link + "/"
	return []sysctl.Setting{
		{Name: conf + "addr_gen_mode", Value: "1", Optional: true}, // none, IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
		{Name: conf + "accept_ra", Value: "0", Optional: true},
	}
}

// Peer is the index of the link that the interface of ep is to lead to.
func (p Medium) Peer(r record.Network, _ record.Endpoint, v sight.Host) int {
	l := v.Links[r.Link]
	return p.below(l.Kind, l.Index, l.Under)
}

// below is the index of the link that the kernel puts an interface on which is to be on the link of that kind and index: what is itself on another one, under,
// has it there beside itself.
func (p Medium) below(kind string, index, under int) int {
	if kind == p.kind.name() || kind == strings.Replace(p.kind.name(), "lan", "tap", 1) {
		return under
	}
	return index
}

// Reattach: when a parent goes, the interfaces on it go with it. Mend makes them anew.
func (Medium) Reattach(context.Context, record.Network, []record.Endpoint) error { return nil }

// vlan reads LINK.ID, the name of a VLAN of a link. IDs are of 12 bits, of which the lowest and the highest are reserved
// (IEEE 802.1Q, table 9-2).
func vlan(name string) (base string, id int, ok bool) {
	base, text, found := strings.Cut(name, ".")
	id, err := strconv.Atoi(text)
	return base, id, found && base != "" && err == nil && id >= 1 && id <= 4094 && strconv.Itoa(id) == text
}

// Available wants the parent, or the link that it is to be a VLAN of, and a kernel that has the kinds of links.
func (p Medium) Available(c definition.Config, networks []record.Network) error {
	if err := p.all.hasKind(p.kind.name()); err != nil {
		return err
	}
	parent := c.Parent()
	if parent == "" {
		if err := p.all.hasKind("dummy"); err != nil {
			return fmt.Errorf("without driver option %s its containers are on a link of their own: %w", definition.OptParent, err)
		}
		return nil
	}
	r := record.Network{Config: c}
	if err := p.Claim(&r, networks); err != nil {
		return aboutParent(err)
	}
	if r.Made {
		if _, lerr := p.all.link.LinkByName(r.Link); rtnl.IsNotFound(lerr) {
			return p.all.hasKind("vlan")
		}
	}
	return nil
}

// hasKind asks the kernel for a link of kind that cannot be made, and says whether that is because it does not know the kind.
func (p *Parents) hasKind(kind string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = p.names.Probe()
	// A multicast address is none for a link, and nothing is on a link that there is not: no kernel that knows the kind makes that.
	attrs.HardwareAddr, attrs.ParentIndex = net.HardwareAddr{1, 0, 0, 0, 0, 0}, math.MaxInt32
	link := &netlink.GenericLink{LinkAttrs: attrs, LinkType: kind}
	err := p.link.LinkAdd(link)
	if err == nil { // a kernel that takes it after all
		p.link.LinkDel(link)
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

// Claim finds the parent, or decides that it is to be made.
func (p Medium) Claim(r *record.Network, networks []record.Network) error {
	r.Link = r.Config.Parent()
	if r.Link == "" {
		r.Link, r.Made = record.Free(networks, p.all.names.Dummy), true
		return nil
	}
	link, err := p.all.link.LinkByName(r.Link)
	if err != nil && !rtnl.IsNotFound(err) {
		return fmt.Errorf("cannot look for link %s: %w", r.Link, err)
	}
	if err == nil {
		r.Link = link.Attrs().Name // the user may know it by one of its other names
	}
	for _, o := range networks {
		switch {
		case o.Link != r.Link:
			continue
		case o.Config.ID == r.Config.ID:
			r.Made = r.Made || o.Made && !o.Deleting // itself
			continue
		}
		r.Made = r.Made || o.Made
		if o.Deleting {
			continue
		}
		if err := r.Config.BesideOn(r.Link, o.Config); err != nil {
			return err
		}
	}
	switch {
	case err == nil:
		return p.all.free(link)
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
	if _, err := p.all.link.LinkByName(base); err != nil {
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
func (p *Parents) free(link netlink.Link) error {
	if link.Attrs().MasterIndex == 0 {
		return nil
	}
	master, err := p.link.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil || master.Type() != "bridge" && master.Type() != "openvswitch" {
		return nil // bonds and the like are found out when the first container comes
	}
	name := link.Attrs().Name
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s cannot be a parent: it is a port of bridge %s; use that as the parent", name, master.Attrs().Name))
}

// Raise makes a parent that is the network's own. Another network may be about to remove it: hence the lock.
func (p Medium) Raise(_ context.Context, r record.Network) error {
	defer p.all.lock(r.Link)()
	link, err := p.all.link.LinkByName(r.Link)
	switch {
	case err != nil && !rtnl.IsNotFound(err):
		return fmt.Errorf("cannot look for link %s: %w", r.Link, err)
	case !r.Made && err != nil:
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is not there", r.Link))
	case !r.Made:
		return nil
	case err != nil:
		if link, err = p.all.make(r); err != nil {
			return err
		}
	default:
		if err := isMade(r, link); err != nil {
			return err
		}
	}
	failpoint.Hit("network.create.parent")
	if err := sysctl.WriteAll(p.Settings(r)); err != nil {
		return err
	}
	if err := p.all.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("cannot bring up %s: %w", r.Link, err)
	}
	return nil
}

// make makes the VLAN or dummy of r.
func (p *Parents) make(r record.Network) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = r.Link
	var link netlink.Link = &netlink.Dummy{LinkAttrs: attrs}
	if r.Config.Parent() != "" {
		base, id, _ := vlan(r.Link)
		on, err := p.link.LinkByName(base)
		if err != nil {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the parent %s is to be VLAN %d of %s, which is not there", r.Link, id, base))
		}
		attrs.ParentIndex = on.Attrs().Index
		link = &netlink.Vlan{LinkAttrs: attrs, VlanId: id}
	}
	if err := p.link.LinkAdd(link); err != nil {
		return nil, fmt.Errorf("cannot make link %s: %w", r.Link, err)
	}
	link, err := p.link.LinkByName(r.Link)
	if err != nil {
		return nil, fmt.Errorf("cannot find link %s: %w", r.Link, err)
	}
	return link, nil
}

// isMade says whether link can be what make makes for r, nil = it can.
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

// Remove deletes a parent that was made, unless another network is on it.
func (p Medium) Remove(r record.Network) error {
	if !r.Made {
		return nil
	}
	defer p.all.lock(r.Link)()
	if shared(r, p.all.networks.Records()) {
		return nil
	}
	link, err := p.all.link.LinkByName(r.Link)
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

// shared says whether one of networks but r itself is on r's parent, to stay. One that was made anew with the name of r, which is being deleted, is another.
func shared(r record.Network, networks []record.Network) bool {
	return slices.ContainsFunc(networks, func(o record.Network) bool {
		itself := o.Config.ID == r.Config.ID && o.Deleting == r.Deleting
		return !itself && o.Link == r.Link && !o.Deleting
	})
}

// Problem says what of r the host does not have, or has otherwise.
func (p Medium) Problem(r record.Network, v sight.Host) string {
	l, ok := v.Links[r.Link]
	switch {
	case !ok && r.Made:
		return "link " + r.Link + " is gone"
	case !ok:
		return "its parent " + r.Link + " is gone"
	case r.Made && !l.Up:
		return "link " + r.Link + " is down" // whether one of the host's is up is the host's affair
	}
	return sysctl.Problem(p.Settings(r), v.Sysctls)
}

// EndpointProblem says what the host's side of ep is not: all that there is of it is inside.
func (Medium) EndpointProblem(record.Network, record.Endpoint, sight.Host) string { return "" }
