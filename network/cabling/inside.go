package cabling

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// The methods of this file work in a container's namespace. Precondition: the calling thread is in it, but for Detach; ns is a descriptor of it.

// Furnish fills a namespace that is new with all that r says.
func (c *Cabling) Furnish(ctx context.Context, r record.Sandbox, ns int) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink in the new namespace: %w", err)
	}
	defer in.Close()
	if err := interior.Prepare(in); err != nil {
		return err
	}
	for _, ep := range r.Endpoints {
		m, n, err := c.at(ep)
		if err == nil {
			err = m.Attach(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	failpoint.Hit("network.setup.links")
	for _, route := range c.Routes(r.Endpoints) {
		if err := route.Add(in); err != nil {
			return err
		}
	}
	if err := interior.SetSysctls(r.Config); err != nil {
		return err
	}
	in.AwaitLocal(ctx, r.Addresses6()...)
	return nil
}

// Refurnish is Furnish for a namespace in which something is left, and processes of the container have made things of their own.
func (c *Cabling) Refurnish(ctx context.Context, r record.Sandbox, ns int) error {
	in, err := openInside()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := interior.Repair(in); err != nil {
		return err
	}
	anew := false
	for _, ep := range r.Endpoints {
		made := false
		m, n, err := c.at(ep)
		if err == nil {
			made, err = m.Rejoin(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
		anew = anew || made
	}
	here, err := interior.Read(in)
	if err != nil {
		return err
	}
	for _, ep := range r.Endpoints {
		if err := here.Connect(in, ep); err != nil {
			return err
		}
	}
	for _, route := range c.Routes(r.Endpoints) {
		if !here.Has(route) {
			if err := route.Add(in); err != nil {
				return err
			}
		}
	}
	in.AwaitLocal(ctx, r.Addresses6()...)
	if !anew {
		return nil // else the user's sysctls of an interface went with it
	}
	return interior.SetSysctls(r.Config)
}

// PlugIn makes the interfaces of eps, which are new, while the container runs on; undo removes them, by the file at path, where the namespace is bound.
func (c *Cabling) PlugIn(ctx context.Context, eps []record.Endpoint, ns int, path string, undo *cleanup.Cleanup) error {
	in, err := openInside()
	if err != nil {
		return err
	}
	defer in.Close()
	for _, ep := range eps {
		m, n, err := c.at(ep)
		if err == nil {
			undo.Add(func() { _ = netns.Do(path, func() error { return m.Unplug(n, ep) }) })
			err = m.Attach(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	in.AwaitLocal(ctx, record.Sandbox{Endpoints: eps}.Addresses6()...)
	return nil
}

// Unplug takes away the interfaces of gone, while the container runs on, and leads its default routes, which were those of was, as be wants them.
func (c *Cabling) Unplug(gone, was, be []record.Endpoint) error {
	in, err := openInside()
	if err != nil {
		return err
	}
	defer in.Close()
	for _, ep := range gone {
		m, n, err := c.at(ep)
		if err == nil {
			err = m.Unplug(n, ep)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	before, after := c.Routes(was), c.Routes(be)
	for _, route := range before {
		if slices.Contains(after, route) {
			continue
		}
		if err := route.Remove(in); err != nil {
			return err
		}
	}
	here, err := interior.Read(in)
	if err != nil {
		return err
	}
	for _, route := range after {
		if here.Has(route) { // as before, or of the container's own
			continue
		}
		if err := route.Add(in); err != nil {
			return err
		}
	}
	return nil
}

// Detach removes from the namespace at path what of eps may not stay for as long as the kernel takes to drop it.
func (c *Cabling) Detach(eps []record.Endpoint, path string) error {
	for _, ep := range eps {
		m, n, err := c.at(ep)
		if err != nil || ep.HostLink != "" || !netns.Bound(path) {
			continue
		}
		if err := netns.Do(path, func() error { return m.Detach(n, ep) }); err != nil {
			return err
		}
	}
	return nil
}

// Compare says what of eps is not as it shall be, and to which links of the host their interfaces lead, by index.
func (c *Cabling) Compare(eps []record.Endpoint) (problem string, peers []int, err error) {
	in, err := rtnl.Open()
	if err != nil {
		return "", nil, fmt.Errorf("cannot open netlink: %w", err)
	}
	defer in.Close()
	here, err := interior.Read(in)
	if err != nil {
		return "", nil, err
	}
	problem, peers = here.Compare(eps, c.Routes(eps))
	return problem, peers, nil
}

// Found are the endpoints of box with the addresses that are there.
func (c *Cabling) Found(box definition.SandboxConfig) (eps []record.Endpoint, err error) {
	in, err := rtnl.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	here, err := interior.Read(in)
	if err != nil {
		return nil, err
	}
	for i, cfg := range box.Endpoints {
		ep := record.Endpoint{EndpointConfig: cfg}
		for _, p := range here.Addresses(cfg.InterfaceName(i)) {
			switch {
			case p.Addr().IsLinkLocalUnicast() || slices.Contains(cfg.LinkLocal, p.Addr()):
			case p.Addr().Is4():
				ep.Addr4 = p
			default:
				ep.Addr6 = p
			}
		}
		eps = append(eps, ep)
	}
	return eps, nil
}

func openInside() (*rtnl.Handle, error) {
	in, err := rtnl.Open()
	if err != nil {
		return nil, fmt.Errorf("cannot open netlink in the container's namespace: %w", err)
	}
	return in, nil
}
