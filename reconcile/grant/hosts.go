package grant

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/plan"
)

// Hosts are the entries of /etc/hosts for whoever is on networks: host-gateway is the address that the host has there.
func Hosts(ctx context.Context, d driver.Networks, hosts []plan.HostEntry, networks []string) ([]network.HostsEntry, error) {
	var out []network.HostsEntry
	for _, h := range hosts {
		if h.Address == "host-gateway" {
			gw, err := d.HostGateway(ctx, networks)
			if err != nil {
				return nil, fmt.Errorf("cannot find the host's address for %s: %w", h.Host, err)
			}
			out = append(out, network.HostsEntry{Addr: gw.Addr, Names: []string{h.Host}})
			continue
		}
		a, err := netip.ParseAddr(h.Address)
		if err != nil {
			return nil, fmt.Errorf("cannot use extra_hosts %s: %q is neither an address nor host-gateway: %w", h.Host, h.Address, errdefs.ErrInvalidArgument)
		}
		out = append(out, network.HostsEntry{Addr: a, Names: []string{h.Host}})
	}
	return out, nil
}
