package parent

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// Attach makes ep's interface, on the parent and in the namespace at once: the host never has a link of its name.
func (p Medium) Attach(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) error {
	parent, err := p.all.link.LinkByName(r.Link)
	if err != nil {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("its parent %s is not there: %w", r.Link, err))
	}
	mac, err := ep.LinkAddr()
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = ep.Interface, parent.Attrs().Index, netlink.NsFd(ns)
	child := p.kind.child(r.Config, attrs, mac)
	var inside netlink.Link
	// A predecessor's interface may still be on the parent: with the same address, or as the only one that a parent in mode passthru has. The
	// kernel removes it some time after its namespace has lost its last process.
	err = persist(p.busy(r), func() error {
		if inside == nil {
			if err := p.all.link.LinkAdd(child); err != nil {
				return fmt.Errorf("cannot make interface %s: %w", ep.Interface, p.explain(err, r))
			}
			if inside, err = in.LinkByName(ep.Interface); err != nil {
				return fmt.Errorf("cannot find interface %s: %w", ep.Interface, err)
			}
			if err := p.kind.tune(in, r.Config, inside, ep); err != nil {
				return err
			}
		}
		return interior.Configure(in, inside, ep)
	})
	return err
}

// busy says of an error whether it may be about a predecessor's interface.
func (p Medium) busy(r record.Network) func(error) bool {
	return func(err error) bool {
		return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EADDRINUSE) || r.Config.Sole() && errors.Is(err, unix.EINVAL)
	}
}

// persist tries again while something is busy, for as long as rtnl.Await waits.
func persist(busy func(error) bool, try func() error) (err error) {
	rtnl.Await(context.Background(), func() bool {
		err = try()
		return !busy(err)
	})
	return err
}

// explain says what the kernel means.
func (p Medium) explain(err error, r record.Network) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is in use by a bridge, or is the parent of links of another kind than %s: %w", r.Link, p.kind.name(), err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return cmp.Or(p.all.hasKind(p.kind.name()), err)
	case errors.Is(err, unix.EINVAL) && r.Config.Sole():
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("a parent in %s %s has room for one container, and %s has one: %w", definition.OptMacvlanMode, definition.Passthru, r.Link, err))
	}
	return err
}

// Rejoin repairs the interface of ep, or makes it anew, in which case made is true.
func (p Medium) Rejoin(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) (made bool, err error) {
	parent, err := p.all.link.LinkByName(r.Link)
	if err != nil {
		return false, fmt.Errorf("its parent %s is not there: %w", r.Link, err)
	}
	here, err := interior.Read(in)
	if err != nil {
		return false, err
	}
	on := p.below(parent.Type(), parent.Attrs().Index, parent.Attrs().ParentIndex)
	for l, addrs := range here.All() {
		name := l.Attrs().Name
		if l.Type() != p.kind.name() || name != ep.Interface && !p.kind.lives(l, addrs, ep) {
			continue
		}
		if name == ep.Interface && l.Attrs().ParentIndex == on {
			return false, interior.Configure(in, l, ep)
		}
		if err := in.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("cannot remove interface %s: %w", name, err)
		}
	}
	return true, p.Attach(in, r, ep, ns)
}

// Detach removes the interfaces: the namespace goes some time after it was unbound, and until then its addresses are on the parent.
func (p Medium) Detach(_ record.Network, ep record.Endpoint) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	defer in.Close()
	l, err := in.LinkByName(ep.Interface)
	if err == nil && l.Type() == p.kind.name() {
		err = in.LinkDel(l)
	}
	if err != nil && !rtnl.IsNotFound(err) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cannot remove interface %s: %w", ep.Interface, err)
	}
	return nil
}

// Unplug is Detach, of an interface that goes while its container runs on.
func (p Medium) Unplug(r record.Network, ep record.Endpoint) error { return p.Detach(r, ep) }
