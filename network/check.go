package network

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/stackrun/stack/network/ipam"
)

// Check says why Create would refuse c whatever the host is like; nil when it would not. Pure.
func Check(c Config) error {
	if err := check(c); err != nil {
		return err
	}
	for _, p := range c.Pools {
		if _, err := c.withGateway(p).pool(); err != nil {
			return err
		}
	}
	return nil
}

// CheckEndpoint says why no container could be on c as ep says. Pure.
func CheckEndpoint(c Config, ep EndpointConfig) error {
	if m := mediumOf(nil, c.Driver); m != nil {
		return m.checkEndpoint(c, ep)
	}
	return nil // which Check tells
}

// Publishes says whether the host's ports lead to containers by c, Outward whether these reach the world by it. Pure.
func Publishes(c Config) bool {
	m := mediumOf(nil, c.Driver)
	return m != nil && m.publishes(c)
}

func Outward(c Config) bool {
	m := mediumOf(nil, c.Driver)
	return m != nil && m.outward(c)
}

// CheckAddress says why no container could have a on network c by its pool p: it is the gateway's, say. Pure.
func CheckAddress(c Config, p Pool, a netip.Addr) error {
	pool, err := c.withGateway(p).pool()
	if err != nil {
		return err
	}
	return pool.Take(a, "the container")
}

// Room is how many IPv4 addresses the pools of c give out. Not bounded: there is no IPv4 pool, or more than anybody has containers.
func Room(c Config) (n int, bounded bool) {
	for _, p := range c.Pools {
		pool, err := c.withGateway(p).pool()
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

// withGateway is p with the gateway that it has on c if the file names none.
func (c Config) withGateway(p Pool) Pool {
	if m := mediumOf(nil, c.Driver); !p.Gateway.IsValid() && p.Subnet.IsValid() && (m == nil || m.wantsGateway(c)) {
		p.Gateway = p.Subnet.Masked().Addr().Next()
	}
	return p
}

func (p Pool) pool() (*ipam.Pool, error) {
	return ipam.NewPool(p.Subnet, p.Range, p.Gateway, p.Aux)
}

// CheckNetwork says why Create would fail for c on this host, where that is not another network: a parent that is not there, a kind of link that the
// kernel does not have. Nothing changes.
func (d *Driver) CheckNetwork(ctx context.Context, c Config) error {
	if err := check(c); err != nil {
		return err
	}
	if err := mediumOf(d, c.Driver).available(c); err != nil {
		return fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return nil
}

// Beside says why networks a and b cannot both be, whatever the host is like: they have one parent, of which the kernel lets only one of them make use. Pure.
func Beside(a, b Config) error {
	p, on := mediumOf(nil, a.Driver).(onParent)
	_, too := mediumOf(nil, b.Driver).(onParent)
	parent := a.DriverOpts[optParent]
	if !on || !too || parent == "" || parent != b.DriverOpts[optParent] {
		return nil
	}
	return p.beside(parent, a, b)
}

// Sole says whether c has room for one container only. Pure.
func Sole(c Config) bool { return c.sole() }

func (c Config) sole() bool {
	return c.Driver == driverMacvlan && c.DriverOpts[optMacvlanMode] == passthru
}
