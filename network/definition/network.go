// Package definition is what may be asked of a network and of a container's sandbox, and what follows from it whatever the host is like: which settings a
// driver has, whether it leads outwards, what excludes what. It touches nothing and asks nobody.
package definition

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/ipam"
)

// Config is a network to be. ID is unique per instance: the network's name.
type Config struct {
	ID         string
	Labels     map[string]string
	Driver     string // bridge, macvlan, ipvlan; "" = bridge
	Internal   bool   // no way out, no way in from the host's ports
	IPv4       bool
	IPv6       bool
	Pools      []Pool // empty = from the instance's pool
	DriverOpts map[string]string
}

// Pool is one subnet. Invalid Range = all of Subnet; invalid Gateway = its first address, where the network has a gateway.
type Pool struct {
	Subnet  netip.Prefix
	Range   netip.Prefix
	Gateway netip.Addr
	Aux     []netip.Addr
}

// Addresses are those of p, none given out. ErrInvalidArgument when p cannot be.
func (p Pool) Addresses() (*ipam.Pool, error) {
	return ipam.NewPool(p.Subnet, p.Range, p.Gateway, p.Aux)
}

// Families says which families pools are of.
func Families(pools []Pool) (v4, v6 bool) {
	for _, p := range pools {
		v4, v6 = v4 || p.Subnet.Addr().Is4(), v6 || p.Subnet.Addr().Is6()
	}
	return v4, v6
}

// Same says whether two configurations make the same kernel objects; labels do not matter.
func (c Config) Same(o Config) bool {
	c.Labels, o.Labels = nil, nil
	x, _ := json.Marshal(c)
	y, _ := json.Marshal(o)
	return string(x) == string(y)
}

// CheckSettings says what of c cannot be, but for its subnets: ErrInvalidArgument or ErrNotSupported, which OptionOf may know more of.
func (c Config) CheckSettings() error {
	bad := func(kind error, format string, args ...any) error {
		return errdefs.With(kind, fmt.Errorf("cannot create network %q: "+format, append([]any{c.ID}, args...)...))
	}
	switch {
	case c.ID == "":
		return bad(errdefs.ErrInvalidArgument, "it has no name")
	case len(c.ID) > 120: // its record's file name is hex
		return bad(errdefs.ErrInvalidArgument, "its name is longer than 120 bytes")
	case c.driver() == nil:
		return bad(errdefs.ErrNotSupported, "driver %q is not supported; expected %s, %s or %s", c.Driver, Bridge, Macvlan, IPvlan)
	case !c.IPv4 && !c.IPv6:
		return bad(errdefs.ErrInvalidArgument, "both enable_ipv4 and enable_ipv6 are off")
	}
	for _, p := range c.Pools {
		if is4 := p.Subnet.Addr().Is4(); is4 && !c.IPv4 || !is4 && !c.IPv6 {
			return bad(errdefs.ErrInvalidArgument, "subnet %s is of a family that is not enabled", p.Subnet)
		}
	}
	if err := c.checkOptions(); err != nil {
		return fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return nil
}

// Check says why c cannot be made on any host; nil when it can. OptionOf and PoolOf may know more of the error.
func (c Config) Check() error {
	if err := c.CheckSettings(); err != nil {
		return err
	}
	for i, p := range c.Pools {
		_, err := c.WithGateway(p).Addresses()
		for _, o := range c.Pools[:i] {
			if err == nil && o.Subnet.Overlaps(p.Subnet) {
				err = errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("subnet %s overlaps %s of the same network", p.Subnet, o.Subnet))
			}
		}
		if err != nil {
			return AboutPool(i, fmt.Errorf("cannot create network %q: %w", c.ID, err))
		}
	}
	return nil
}

// CheckAddress says why no container could have a on c by its pool p: it is the gateway's, say.
func (c Config) CheckAddress(p Pool, a netip.Addr) error {
	pool, err := c.WithGateway(p).Addresses()
	if err != nil {
		return err
	}
	return pool.Take(a, "the container")
}

// Room is how many IPv4 addresses the pools of c give out. Not bounded: there is no IPv4 pool, or more than anybody has containers.
func (c Config) Room() (n int, bounded bool) {
	for _, p := range c.Pools {
		pool, err := c.WithGateway(p).Addresses()
		if err != nil || !pool.Range.Addr().Is4() {
			continue
		}
		bits := 32 - pool.Range.Bits()
		if bits > 16 {
			return 0, false
		}
		n += 1<<bits - pool.Reserved()
		bounded = true
	}
	return n, bounded
}

// WithGateway is p with the gateway that it has on c if the file names none.
func (c Config) WithGateway(p Pool) Pool {
	if d := c.driver(); !p.Gateway.IsValid() && p.Subnet.IsValid() && (d == nil || d.wantsGateway(c)) {
		p.Gateway = p.Subnet.Masked().Addr().Next()
	}
	return p
}
