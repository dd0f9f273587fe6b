package network

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/record"
)

// Create makes the network c, or completes and repairs it when it exists. ErrConflict when a network of that name
// exists with other settings, or its subnet is in use; ErrInvalidArgument and ErrNotSupported name the setting.
func (d *Driver) Create(ctx context.Context, c Config) (State, error) {
	if err := c.CheckSettings(); err != nil {
		return State{}, err
	}
	mediumOf(d, c.Driver).vacate(c)
	defer d.objects.lock("network " + c.ID)()
	d.mu.Lock()
	n := d.networks[c.ID]
	d.mu.Unlock()
	fresh := n == nil
	switch {
	case fresh:
		var err error
		if n, err = d.allocate(c); err != nil {
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	case !n.rec.Config.Same(c):
		return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
			"cannot create network %q: it exists with other settings; remove it first (stack down)", c.ID))
	default:
		rec := n.rec
		rec.Config = c
		if err := d.records.PutNetwork(rec); err != nil {
			return State{}, err
		}
		d.mu.Lock()
		n.rec = rec
		d.mu.Unlock()
	}
	m := d.medium(n.rec)
	if err := m.raise(ctx, n.rec); err != nil {
		if fresh {
			d.undoCreate(n)
		}
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	if !fresh {
		if err := m.reattach(ctx, n); err != nil {
			return State{}, fmt.Errorf("cannot repair network %q: %w", c.ID, err)
		}
	}
	if fresh && c.OnHost() {
		if err := d.contested(n); err != nil {
			d.undoCreate(n)
			if len(c.Pools) == 0 && errors.Is(err, errdefs.ErrConflict) && ctx.Err() == nil {
				return d.createElsewhere(ctx, c, n.rec.Pools)
			}
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	}
	return d.networkState(n, d.sight.Look()), nil
}

// allocate decides the bridge's name and the subnets, and records them.
func (d *Driver) allocate(c Config, avoid ...Pool) (*network, error) {
	addrs, routes, err := d.link.Prefixes(d.isOurs)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	rec := record.Network{Config: c, Created: time.Now()}
	m := mediumOf(d, c.Driver)
	if err := m.claim(&rec); err != nil {
		return nil, err
	}
	var others []netip.Prefix
	for _, o := range d.networks {
		for _, p := range o.rec.Pools {
			for _, own := range c.Pools {
				if own.Subnet.IsValid() && own.Subnet.Overlaps(p.Subnet) {
					return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s of network %q", own.Subnet, p.Subnet, o.rec.Config.ID))
				}
			}
			others = append(others, p.Subnet)
		}
	}
	for _, p := range avoid {
		routes = append(routes, p.Subnet)
	}
	have4, have6 := definition.Families(c.Pools)
	for _, p := range c.Pools {
		rec.Pools = append(rec.Pools, c.WithGateway(p))
		if !c.OnHost() {
			continue // it is the host's own, most likely
		}
		// Routes are not held against a subnet that the user chose: 10.0.0.0/8 to a VPN is common, and the file is explicit.
		if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
		}
	}
	taken := append(append(addrs, others...), routes...)
	if c.IPv4 && !have4 {
		p, err := ipam.Choose(d.pools, taken, uint64(binary.BigEndian.Uint16(d.seed(""))))
		if err != nil {
			return nil, err
		}
		rec.Pools = append(rec.Pools, c.WithGateway(Pool{Subnet: p}))
	}
	if c.IPv6 && !have6 {
		p, err := ipam.Choose([]ipam.Base{d.ula()}, taken, uint64(binary.BigEndian.Uint16(d.seed(c.ID))))
		if err != nil {
			return nil, err
		}
		rec.Pools = append(rec.Pools, c.WithGateway(Pool{Subnet: p}))
	}
	n, err := newNetwork(rec)
	if err != nil {
		return nil, err
	}
	if err := d.records.PutNetwork(rec); err != nil {
		return nil, err
	}
	failpoint.Hit("network.create.recorded")
	d.networks[c.ID] = n
	return n, nil
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

func newNetwork(rec record.Network) (*network, error) {
	if !rec.Config.Supported() {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("network driver %q is not supported", rec.Config.Driver))
	}
	n := &network{rec: rec}
	var subnets []netip.Prefix
	for _, p := range rec.Pools {
		pool, err := p.Addresses()
		if err != nil {
			return nil, err
		}
		n.pools = append(n.pools, pool)
		subnets = append(subnets, p.Subnet)
	}
	n.zone = dns.NewZone(rec.Config.ID, subnets)
	return n, nil
}

// contested finds out whether another daemon of this host took an overlapping subnet at the same time. There is no lock between
// instances: each puts its address on a link first and looks afterwards, so of two at least one sees the other.
func (d *Driver) contested(n *network) error {
	addrs, _, err := d.link.Prefixes(func(link string) bool { return link == n.rec.Link })
	if err != nil {
		return err
	}
	for _, p := range n.rec.Pools {
		if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
		}
	}
	return nil
}

func (d *Driver) createElsewhere(ctx context.Context, c Config, avoid []Pool) (State, error) {
	n, err := d.allocate(c, avoid...)
	if err == nil {
		if err = d.medium(n.rec).raise(ctx, n.rec); err == nil {
			err = d.contested(n)
		}
		if err != nil {
			d.undoCreate(n)
		}
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return d.networkState(n, d.sight.Look()), nil
}

func (d *Driver) undoCreate(n *network) {
	// What cannot be undone now stays recorded, and the next Delete or the next daemon does it.
	if m := d.medium(n.rec); m.lower(n.rec) == nil && m.remove(n) == nil && d.records.DropNetwork(n.rec.Config.ID) == nil {
		d.forget(n)
		d.lastOut()
	}
}

func (d *Driver) forget(n *network) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.networks[n.rec.Config.ID] == n {
		delete(d.networks, n.rec.Config.ID)
	}
}
