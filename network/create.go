package network

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/nft"
)

// Driver options that a Compose file may give a bridge network, with docker's names.
const (
	optMTU        = "com.docker.network.driver.mtu"
	optBridge     = "com.docker.network.bridge.name"
	optMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optHostIP     = "com.docker.network.bridge.host_binding_ipv4"
	optICC        = "com.docker.network.bridge.enable_icc"     // true is all there is
	optDefault    = "com.docker.network.bridge.default_bridge" // false likewise
)

const defaultMTU = 1500

func mtu(c Config) int {
	if n, err := strconv.Atoi(c.DriverOpts[optMTU]); err == nil {
		return n
	}
	return defaultMTU
}

// check says what of c cannot be done, before anything is.
func check(c Config) error {
	bad := func(kind error, format string, args ...any) error {
		return errdefs.With(kind, fmt.Errorf("cannot create network %q: "+format, append([]any{c.ID}, args...)...))
	}
	switch {
	case c.ID == "":
		return bad(errdefs.ErrInvalidArgument, "it has no name")
	case len(c.ID) > 120: // its record's file name is hex
		return bad(errdefs.ErrInvalidArgument, "its name is longer than 120 bytes")
	case c.Driver != "" && c.Driver != "bridge":
		return bad(errdefs.ErrNotSupported, "driver %q is not supported; only bridge is", c.Driver)
	case !c.IPv4 && !c.IPv6:
		return bad(errdefs.ErrInvalidArgument, "both enable_ipv4 and enable_ipv6 are off")
	}
	for _, k := range slices.Sorted(maps.Keys(c.DriverOpts)) {
		v := c.DriverOpts[k]
		switch k {
		case optMTU:
			if n, err := strconv.Atoi(v); err != nil || n < 576 || n > 65535 {
				return bad(errdefs.ErrInvalidArgument, "%s is %q; expected a number of bytes from 576 to 65535", k, v)
			}
		case optBridge:
			if v == "" || len(v) >= unix.IFNAMSIZ {
				return bad(errdefs.ErrInvalidArgument, "%s is %q; expected 1 to 15 characters", k, v)
			}
		case optMasquerade:
			if _, err := strconv.ParseBool(v); err != nil {
				return bad(errdefs.ErrInvalidArgument, "%s is %q; expected true or false", k, v)
			}
		case optHostIP:
			if a, err := netip.ParseAddr(v); err != nil || !a.Is4() {
				return bad(errdefs.ErrInvalidArgument, "%s is %q; expected an IPv4 address", k, v)
			}
		case optICC, optDefault:
			on, err := strconv.ParseBool(v)
			if err != nil {
				return bad(errdefs.ErrInvalidArgument, "%s is %q; expected true or false", k, v)
			}
			if on != (k == optICC) {
				return bad(errdefs.ErrNotSupported, "%s is %q, which is not supported: containers of one network reach each other, and no network is shared by all projects; use a network for each group of containers", k, v)
			}
		default:
			return bad(errdefs.ErrNotSupported, "driver option %s is not supported; expected %s, %s, %s or %s", k, optMTU, optBridge, optMasquerade, optHostIP)
		}
	}
	for _, p := range c.Pools {
		if is4 := p.Subnet.Addr().Is4(); is4 && !c.IPv4 || !is4 && !c.IPv6 {
			return bad(errdefs.ErrInvalidArgument, "subnet %s is of a family that is not enabled", p.Subnet)
		}
	}
	return nil
}

// sameShape says whether two configurations make the same kernel objects; labels do not matter.
func sameShape(a, b Config) bool {
	a.Labels, b.Labels = nil, nil
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// Create makes the network c, or completes and repairs it when it exists. ErrConflict when a network of that name
// exists with other settings, or its subnet is in use; ErrInvalidArgument and ErrNotSupported name the setting.
func (d *Driver) Create(ctx context.Context, c Config) (State, error) {
	if err := check(c); err != nil {
		return State{}, err
	}
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
	case !sameShape(n.rec.Config, c):
		return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
			"cannot create network %q: it exists with other settings; remove it first (stack down)", c.ID))
	default:
		rec := n.rec
		rec.Config = c
		if err := d.records.putNetwork(rec); err != nil {
			return State{}, err
		}
		d.mu.Lock()
		n.rec = rec
		d.mu.Unlock()
	}
	if err := d.raise(ctx, n.rec); err != nil {
		if fresh {
			d.undoCreate(n)
		}
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	if !fresh {
		if err := d.reattach(ctx, n); err != nil {
			return State{}, fmt.Errorf("cannot repair network %q: %w", c.ID, err)
		}
	}
	if fresh {
		if err := d.contested(n); err != nil {
			d.undoCreate(n)
			if len(c.Pools) == 0 && errors.Is(err, errdefs.ErrConflict) && ctx.Err() == nil {
				return d.createElsewhere(ctx, c, n.rec.Pools)
			}
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	}
	return d.networkState(n, d.look()), nil
}

// allocate decides the bridge's name and the subnets, and records them.
func (d *Driver) allocate(c Config, avoid ...Pool) (*bridged, error) {
	addrs, routes, err := d.hostPrefixes(d.isOurs)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	rec := networkRecord{Config: c, Bridge: d.freeBridge(c)}
	for _, o := range d.networks {
		if o.rec.Bridge == rec.Bridge {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("bridge %s belongs to network %q", rec.Bridge, o.rec.Config.ID))
		}
		for _, p := range o.rec.Pools {
			for _, own := range c.Pools {
				if own.Subnet.IsValid() && own.Subnet.Overlaps(p.Subnet) {
					return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s of network %q", own.Subnet, p.Subnet, o.rec.Config.ID))
				}
			}
			addrs = append(addrs, p.Subnet)
		}
	}
	for _, p := range avoid {
		routes = append(routes, p.Subnet)
	}
	have4, have6 := families(c.Pools)
	rec.Pools = slices.Clone(c.Pools)
	for i, p := range rec.Pools {
		// Routes are not held against a subnet that the user chose: 10.0.0.0/8 to a VPN is common, and the file is explicit.
		if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
		}
		if p.Gateway.IsValid() || !p.Subnet.IsValid() {
			continue
		}
		rec.Pools[i].Gateway = p.Subnet.Masked().Addr().Next()
	}
	taken := append(addrs, routes...)
	if c.IPv4 && !have4 {
		p, err := ipam.Choose(d.pools, taken, uint64(binary.BigEndian.Uint16(d.seed(""))))
		if err != nil {
			return nil, err
		}
		rec.Pools = append(rec.Pools, Pool{Subnet: p, Gateway: p.Addr().Next()})
	}
	if c.IPv6 && !have6 {
		p, err := ipam.Choose([]ipam.Base{d.ula()}, taken, uint64(binary.BigEndian.Uint16(d.seed(c.ID))))
		if err != nil {
			return nil, err
		}
		rec.Pools = append(rec.Pools, Pool{Subnet: p, Gateway: p.Addr().Next()})
	}
	n, err := newBridged(rec)
	if err != nil {
		return nil, err
	}
	if err := d.records.putNetwork(rec); err != nil {
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

// freeBridge names the bridge. Precondition: d.mu is held.
func (d *Driver) freeBridge(c Config) string {
	if name := c.DriverOpts[optBridge]; name != "" {
		return name
	}
	used := map[string]bool{}
	for _, n := range d.networks {
		used[n.rec.Bridge] = true
	}
	for i := 0; ; i++ {
		if name := bridgeName(d.instance, i); !used[name] {
			return name
		}
	}
}

func newBridged(rec networkRecord) (*bridged, error) {
	n := &bridged{rec: rec}
	var subnets []netip.Prefix
	for _, p := range rec.Pools {
		pool, err := ipam.NewPool(p.Subnet, p.Range, p.Gateway, p.Aux)
		if err != nil {
			return nil, err
		}
		n.pools = append(n.pools, pool)
		subnets = append(subnets, p.Subnet)
	}
	n.zone = dns.NewZone(rec.Config.ID, subnets)
	return n, nil
}

func (n networkRecord) firewall() nft.Network {
	masquerade, err := strconv.ParseBool(n.Config.DriverOpts[optMasquerade])
	return nft.Network{Bridge: n.Bridge, Internal: n.Config.Internal, Masquerade: masquerade || err != nil}
}

// raise makes the kernel as rec says. The firewall comes first: no packet crosses a bridge that it does not know.
func (d *Driver) raise(ctx context.Context, rec networkRecord) error {
	if err := d.fw.AddNetwork(rec.firewall()); err != nil {
		return err
	}
	if err := d.fw.Admit(); err != nil {
		return err
	}
	failpoint.Hit("network.create.firewall")
	if err := d.ensureBridge(rec); err != nil {
		return err
	}
	failpoint.Hit("network.create.bridge")
	for _, p := range rec.Pools {
		awaitLocal(ctx, d.link, p.Gateway)
	}
	if rec.Config.Internal {
		return nil
	}
	return d.enableForwarding(families(rec.Pools))
}

// reattach puts the containers' links back on a bridge that was made anew under them.
func (d *Driver) reattach(ctx context.Context, n *bridged) error {
	bridge, err := d.link.LinkByName(n.rec.Bridge)
	if err != nil {
		return fmt.Errorf("cannot find bridge %s: %w", n.rec.Bridge, err)
	}
	d.mu.Lock()
	var eps []Endpoint
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == n.rec.Config.ID {
				eps = append(eps, ep)
			}
		}
	}
	d.mu.Unlock()
	for _, ep := range eps {
		link, err := d.link.LinkByName(ep.HostLink)
		if err != nil {
			continue // one that is gone is for Setup and Mend to make again
		}
		if err := d.plug(link, bridge); err != nil {
			return err
		}
	}
	d.awaitCarrier(ctx, eps)
	return nil
}

// plug puts a container's link on its bridge, if it is not there. With the bridge that it was on go the settings of its port.
func (d *Driver) plug(link, bridge netlink.Link) error {
	if link.Attrs().MasterIndex == bridge.Attrs().Index {
		return nil
	}
	err := d.link.LinkSetMaster(link, bridge)
	if err == nil && bridgedDNAT() {
		err = d.link.LinkSetHairpin(link, true)
	}
	if err != nil {
		return fmt.Errorf("cannot put %s on bridge %s: %w", link.Attrs().Name, bridge.Attrs().Name, err)
	}
	return nil
}

// contested finds out whether another daemon of this host took an overlapping subnet at the same time. There is no lock between
// instances: each puts its address on a link first and looks afterwards, so of two at least one sees the other.
func (d *Driver) contested(n *bridged) error {
	addrs, _, err := d.hostPrefixes(func(link string) bool { return link == n.rec.Bridge })
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
		if err = d.raise(ctx, n.rec); err == nil {
			err = d.contested(n)
		}
		if err != nil {
			d.undoCreate(n)
		}
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return d.networkState(n, d.look()), nil
}

func (d *Driver) undoCreate(n *bridged) {
	// What cannot be undone now stays recorded, and the next Delete or the next daemon does it.
	if d.lower(n.rec) == nil && d.removeBridge(n.rec.Bridge) == nil && d.records.dropNetwork(n.rec.Config.ID) == nil {
		d.forget(n)
		d.lastOut()
	}
}

func (d *Driver) forget(n *bridged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.networks[n.rec.Config.ID] == n {
		delete(d.networks, n.rec.Config.ID)
	}
}
