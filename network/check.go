package network

import (
	"net/netip"

	"github.com/stackrun/stack/network/ipam"
)

// Check says why Create would refuse c whatever the host is like; nil when it would not. Pure.
func Check(c Config) error {
	if err := check(c); err != nil {
		return err
	}
	for _, p := range c.Pools {
		if _, err := p.pool(); err != nil {
			return err
		}
	}
	return nil
}

// CheckAddress says why no container could have a on a network with pool p: it is the gateway's, say. Pure.
func CheckAddress(p Pool, a netip.Addr) error {
	pool, err := p.pool()
	if err != nil {
		return err
	}
	return pool.Take(a, "the container")
}

// Room is how many IPv4 addresses pools give out. Not bounded: there is no IPv4 pool, or more than anybody has containers.
func Room(pools []Pool) (n int, bounded bool) {
	for _, p := range pools {
		pool, err := p.pool()
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

func (p Pool) pool() (*ipam.Pool, error) {
	return ipam.NewPool(p.Subnet, p.Range, p.Gateway, p.Aux)
}
