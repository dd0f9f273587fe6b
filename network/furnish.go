package network

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
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
		n, err := d.recorded(ep.Network)
		if err == nil {
			err = d.medium(n).attach(in, n, ep, ns)
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

// recorded is the record of network id.
func (d *Driver) recorded(id string) (record.Network, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.networks[id]
	if n == nil {
		return record.Network{}, errdefs.With(errdefs.ErrNotFound, errors.New("it does not exist"))
	}
	return n.rec, nil
}

// guests are the addresses of r that are of no subnet of their network, where the firewall has to know.
func (d *Driver) guests(r record.Sandbox) (all []nft.Guest) {
	for _, ep := range r.Endpoints {
		n, err := d.recorded(ep.Network)
		if err != nil {
			continue
		}
		if wall, ok := d.medium(n).firewall(n); ok {
			for _, a := range ep.LinkLocal {
				all = append(all, nft.Guest{Bridge: wall.Bridge, Addr: a})
			}
		}
	}
	return all
}

// defaultRoutes are by the endpoint of highest GwPriority, of equals the first, among those whose network has a way out.
func (d *Driver) defaultRoutes(eps []Endpoint) (all []interior.Route) {
	if ep, ok := d.gatewayEndpoint(eps, true); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway4, V4: true})
	}
	if ep, ok := d.gatewayEndpoint(eps, false); ok {
		all = append(all, interior.Route{Interface: ep.Interface, Gateway: ep.Gateway6, V4: false})
	}
	return all
}

// publishingEndpoint is the endpoint by which the world reaches the published ports: that by which the answers leave. Not ok: there is none, or
// what comes by it passes the host by.
func (d *Driver) publishingEndpoint(eps []Endpoint, v4 bool) (Endpoint, bool) {
	ep, ok := d.gatewayEndpoint(eps, v4)
	if !ok {
		return ep, false
	}
	n, err := d.recorded(ep.Network)
	return ep, err == nil && n.Config.Publishes()
}

// gatewayEndpoint is the endpoint by which the container reaches the world.
func (d *Driver) gatewayEndpoint(eps []Endpoint, v4 bool) (best Endpoint, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ep := range eps {
		n := d.networks[ep.Network]
		addr := ep.Addr4
		if !v4 {
			addr = ep.Addr6
		}
		if n == nil || !n.rec.Config.Outward() || !addr.IsValid() {
			continue
		}
		if !ok || ep.GwPriority > best.GwPriority {
			best, ok = ep, true
		}
	}
	return best, ok
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
