package network

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"github.com/stackrun/stack/internal/errdefs"
)

// HostGateway is the address by which a container on networks reaches the host: the gateway of the first that the host is the gateway of and that has a way
// out, else of the first. Without networks (network_mode host) it is loopback. On a parent the kernel lets nothing pass between the host and its containers: by
// such networks alone there is no way, and the entry is what others know the host by, its address there, or the gateway's.
func (d *Driver) HostGateway(ctx context.Context, networks []string) (HostsEntry, error) {
	entry := HostsEntry{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Names: []string{"host-gateway"}}
	if len(networks) == 0 {
		return entry, nil
	}
	var inside, beside netip.Addr
	for _, id := range networks {
		n, err := d.networks.Record(id)
		if err != nil {
			return HostsEntry{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot find the host's address on network %q: %w", id, err))
		}
		gw := n.Pools[0].Gateway
		switch {
		case !n.Config.OnHost():
			beside = cmp.Or(beside, d.addressOn(n.Link), gw)
		case n.Config.Outward():
			entry.Addr = gw
			return entry, nil
		default:
			inside = cmp.Or(inside, gw)
		}
	}
	entry.Addr = cmp.Or(inside, beside, entry.Addr)
	return entry, nil
}

// addressOn is the host's first address on a link; zero = it has none.
func (d *Driver) addressOn(link string) netip.Addr {
	l, err := d.link.LinkByName(link)
	if err != nil {
		return netip.Addr{}
	}
	addrs, err := d.link.Addrs()
	if err != nil {
		return netip.Addr{}
	}
	for _, p := range addrs[l.Attrs().Index] {
		if !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}
