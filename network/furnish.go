package network

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// furnish fills the namespace that the calling thread is in, and that ns is an fd of.
func (d *Driver) furnish(ctx context.Context, r record.Sandbox, ns int) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink in the new namespace: %w", err)
	}
	defer in.Close()
	if err := interior.Prepare(in); err != nil {
		return err
	}
	for _, ep := range r.Endpoints {
		n, err := d.networks.Record(ep.Network)
		if err == nil {
			err = d.medium(n.Config).Attach(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	failpoint.Hit("network.setup.links")
	for _, route := range d.defaultRoutes(r.Endpoints) {
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

// guests are the addresses of r that are of no subnet of their network, where the firewall has to know.
func (d *Driver) guests(r record.Sandbox) (all []nft.Guest) {
	for _, ep := range r.Endpoints {
		n, err := d.networks.Record(ep.Network)
		if err != nil {
			continue
		}
		if wall, ok := d.medium(n.Config).Firewall(n); ok {
			for _, a := range ep.LinkLocal {
				all = append(all, nft.Guest{Bridge: wall.Bridge, Addr: a})
			}
		}
	}
	return all
}

// defaultRoutes lead out of a container with eps.
func (d *Driver) defaultRoutes(eps []Endpoint) (all []interior.Route) {
	if ep, ok := d.networks.WayOut(eps, true); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway4, V4: true})
	}
	if ep, ok := d.networks.WayOut(eps, false); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway6, V4: false})
	}
	return all
}

// hostLinks are the links that eps have on the host.
func hostLinks(eps []Endpoint) (names []string) {
	for _, ep := range eps {
		if ep.HostLink != "" {
			names = append(names, ep.HostLink)
		}
	}
	return names
}
