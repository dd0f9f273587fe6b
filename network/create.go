package network

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/record"
)

// Create makes the network c, or completes and repairs it when it exists. ErrConflict when a network of that name
// exists with other settings, or its subnet is in use; ErrInvalidArgument and ErrNotSupported name the setting.
func (d *Driver) Create(ctx context.Context, c Config) (State, error) {
	if err := c.CheckSettings(); err != nil {
		return State{}, err
	}
	d.vacate(c)
	defer d.lock("network " + c.ID)()
	n := d.networks.Find(c.ID)
	fresh := n == nil
	switch {
	case fresh:
		var err error
		if n, err = d.allocate(c); err != nil {
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	case !n.Record().Config.Same(c):
		return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
			"cannot create network %q: it exists with other settings; remove it first (stack down)", c.ID))
	default:
		if err := n.Configure(c); err != nil {
			return State{}, err
		}
	}
	m, rec := d.medium(c), n.Record()
	if err := m.Raise(ctx, rec); err != nil {
		if fresh {
			d.undoCreate(n)
		}
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	if !fresh {
		if err := m.Reattach(ctx, rec, d.endpointsOn(c.ID)); err != nil {
			return State{}, fmt.Errorf("cannot repair network %q: %w", c.ID, err)
		}
	}
	if fresh && c.OnHost() {
		if err := d.contested(rec); err != nil {
			d.undoCreate(n)
			if len(c.Pools) == 0 && errors.Is(err, errdefs.ErrConflict) && ctx.Err() == nil {
				return d.createElsewhere(ctx, c, rec.Pools)
			}
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	}
	return d.networkState(rec, d.sight.Look()), nil
}

// vacate ends deletions that the background has to do, where they hold the bridge that c names. Precondition: no lock is held.
func (d *Driver) vacate(c Config) {
	if name := c.BridgeName(); c.OnHost() && name != "" {
		for _, n := range d.networks.Retired(name) {
			d.finishDelete(n)
		}
	}
}

// allocate decides the network's link and the subnets, and records them.
func (d *Driver) allocate(c Config, avoid ...Pool) (*membership.Network, error) {
	addrs, routes, err := d.link.Prefixes(d.names.Ours)
	if err != nil {
		return nil, err
	}
	for _, p := range avoid {
		routes = append(routes, p.Subnet)
	}
	return d.networks.Add(func(networks []record.Network) (record.Network, error) {
		rec := record.Network{Config: c, Created: time.Now()}
		if err := d.medium(c).Claim(&rec, networks); err != nil {
			return rec, err
		}
		rec.Pools, err = d.subnets(c, networks, addrs, routes)
		return rec, err
	})
}

// subnets are those of c, chosen or checked beside those of networks, the addresses that the host is on and the routes that it has.
func (d *Driver) subnets(c Config, networks []record.Network, addrs, routes []netip.Prefix) (pools []Pool, err error) {
	var others []netip.Prefix
	for _, o := range networks {
		for _, p := range o.Pools {
			for _, own := range c.Pools {
				if own.Subnet.IsValid() && own.Subnet.Overlaps(p.Subnet) {
					return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s of network %q", own.Subnet, p.Subnet, o.Config.ID))
				}
			}
			others = append(others, p.Subnet)
		}
	}
	have4, have6 := definition.Families(c.Pools)
	for _, p := range c.Pools {
		pools = append(pools, c.WithGateway(p))
		if !c.OnHost() {
			continue // it is the host's own, most likely
		}
		// Routes are not held against a subnet that the user chose: 10.0.0.0/8 to a VPN is common, and the file is explicit.
		if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
		}
	}
	taken := slices.Concat(addrs, others, routes)
	if c.IPv4 && !have4 {
		p, err := ipam.Choose(d.pools, taken, uint64(binary.BigEndian.Uint16(d.seed(""))))
		if err != nil {
			return nil, err
		}
		pools = append(pools, c.WithGateway(Pool{Subnet: p}))
	}
	if c.IPv6 && !have6 {
		p, err := ipam.Choose([]ipam.Base{d.ula()}, taken, uint64(binary.BigEndian.Uint16(d.seed(c.ID))))
		if err != nil {
			return nil, err
		}
		pools = append(pools, c.WithGateway(Pool{Subnet: p}))
	}
	return pools, nil
}

func (d *Driver) seed(of string) []byte {
	sum := sha256.Sum256([]byte(d.instance + "\x00" + of))
	return sum[:]
}

// ula is this instance's own IPv6 range: fd, 40 bits that are unlikely to be chosen twice (RFC 4193 section 3.2.2), and
// subnets of /64.
func (d *Driver) ula() ipam.Base {
	var b [16]byte
	b[0] = 0xfd
	copy(b[1:6], d.seed("ula"))
	return ipam.Base{Prefix: netip.PrefixFrom(netip.AddrFrom16(b), 48), Size: 64}
}

// contested finds out whether another daemon of this host took an overlapping subnet at the same time. There is no lock between
// instances: each puts its address on a link first and looks afterwards, so of two at least one sees the other.
func (d *Driver) contested(n record.Network) error {
	addrs, _, err := d.link.Prefixes(func(link string) bool { return link == n.Link })
	if err != nil {
		return err
	}
	for _, p := range n.Pools {
		if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
		}
	}
	return nil
}

func (d *Driver) createElsewhere(ctx context.Context, c Config, avoid []Pool) (State, error) {
	n, err := d.allocate(c, avoid...)
	if err != nil {
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	rec := n.Record()
	if err = d.medium(c).Raise(ctx, rec); err == nil {
		err = d.contested(rec)
	}
	if err != nil {
		d.undoCreate(n)
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return d.networkState(rec, d.sight.Look()), nil
}

func (d *Driver) undoCreate(n *membership.Network) {
	rec := n.Record()
	// What cannot be undone now stays recorded, and the next Delete or the next daemon does it.
	if m := d.medium(rec.Config); m.Lower(rec) == nil && m.Remove(rec) == nil && n.Undo() == nil {
		d.lastOut()
	}
}
