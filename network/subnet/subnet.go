// Package subnet decides which subnets a network gets: what a user has chosen, when nobody has it, else a piece of the ranges of this instance. It is pure; what is
// taken on the host is told to it.
package subnet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/record"
)

// Range is one that networks without a subnet of their own get theirs from, in pieces of Size bits.
type Range struct {
	Base netip.Prefix
	Size int
}

// defaults: see docs/adr/0020-network-records.md. Three private ranges, so that a VPN that claims one of them
// leaves two; /23 because a bridge has at most 1024 ports and a service may well have 300 replicas.
var defaults = []ipam.Base{
	{Prefix: netip.MustParsePrefix("10.201.0.0/16"), Size: 23},
	{Prefix: netip.MustParsePrefix("172.28.0.0/15"), Size: 23},
	{Prefix: netip.MustParsePrefix("192.168.192.0/18"), Size: 23},
}

// Chooser chooses those of one instance. Safe for concurrent use: it keeps nothing.
type Chooser struct {
	instance string
	ranges   []ipam.Base // of IPv4
}

// NewChooser is that of instance, by ranges; none = defaults. ErrInvalidArgument names the one that is not usable.
func NewChooser(instance string, ranges []Range) (*Chooser, error) {
	c := &Chooser{instance: instance}
	for _, r := range ranges {
		if !r.Base.IsValid() || r.Size < r.Base.Bits() || r.Size > r.Base.Addr().BitLen()-2 || r.Base != r.Base.Masked() {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(
				"cannot use address pool %s in pieces of /%d: expected a range without host bits and a size between its own and /%d",
				r.Base, r.Size, r.Base.Addr().BitLen()-2))
		}
		c.ranges = append(c.ranges, ipam.Base{Prefix: r.Base, Size: r.Size})
	}
	if len(c.ranges) == 0 {
		c.ranges = defaults
	}
	return c, nil
}

// Choose is those of the network of, chosen or checked beside those of networks, the addresses that the host is on and the routes that it has. ErrConflict names
// who has one that the user chose.
func (c *Chooser) Choose(of definition.Config, networks []record.Network, addrs, routes []netip.Prefix) (pools []definition.Pool, err error) {
	var taken []ipam.Taken
	for _, p := range addrs {
		taken = append(taken, ipam.Taken{Prefix: p, By: fmt.Sprintf("the subnet %s that this host is on", p)})
	}
	for _, p := range routes {
		taken = append(taken, ipam.Taken{Prefix: p, By: fmt.Sprintf("this host's route to %s", p)})
	}
	for _, o := range networks {
		for _, p := range o.Pools {
			for _, own := range of.Pools {
				if own.Subnet.IsValid() && own.Subnet.Overlaps(p.Subnet) {
					return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s of network %q", own.Subnet, p.Subnet, o.Config.ID))
				}
			}
			taken = append(taken, ipam.Taken{Prefix: p.Subnet, By: "network " + o.Config.ID})
		}
	}
	have4, have6 := definition.Families(of.Pools)
	for _, p := range of.Pools {
		pools = append(pools, of.WithGateway(p))
	}
	if err := Check(of, addrs); err != nil {
		return nil, err
	}
	if of.IPv4 && !have4 {
		p, err := ipam.Choose(c.ranges, taken, uint64(binary.BigEndian.Uint16(c.seed(""))))
		if err != nil {
			return nil, err
		}
		pools = append(pools, of.WithGateway(definition.Pool{Subnet: p}))
	}
	if of.IPv6 && !have6 {
		p, err := ipam.Choose([]ipam.Base{c.ula()}, taken, uint64(binary.BigEndian.Uint16(c.seed(of.ID))))
		if err != nil {
			return nil, err
		}
		pools = append(pools, of.WithGateway(definition.Pool{Subnet: p}))
	}
	return pools, nil
}

// Check says whether the host, which is at addrs, is on one of the subnets that the user chose for the network of: ErrConflict then, and PoolOf says which. Routes
// are not held against them: 10.0.0.0/8 to a VPN is common, and the file is explicit.
func Check(of definition.Config, addrs []netip.Prefix) error {
	if !of.OnHost() {
		return nil // they are the host's own, most likely
	}
	for i, p := range of.Pools {
		if err := Apart(p, addrs); err != nil {
			return definition.AboutPool(i, fmt.Errorf("%w; choose another, or leave it out to get a free one", err))
		}
	}
	return nil
}

// Apart says whether p has nothing in common with the addresses that the host is on: ErrConflict else.
func Apart(p definition.Pool, addrs []netip.Prefix) error {
	if clash, ok := ipam.Overlapping(p.Subnet, addrs); ok {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("subnet %s overlaps %s, which this host is on", p.Subnet, clash))
	}
	return nil
}

func (c *Chooser) seed(of string) []byte {
	sum := sha256.Sum256([]byte(c.instance + "\x00" + of))
	return sum[:]
}

// ula is this instance's own IPv6 range: fd, 40 bits that are unlikely to be chosen twice (RFC 4193 section 3.2.2), and
// subnets of /64.
func (c *Chooser) ula() ipam.Base {
	var b [16]byte
	b[0] = 0xfd
	copy(b[1:6], c.seed("ula"))
	return ipam.Base{Prefix: netip.PrefixFrom(netip.AddrFrom16(b), 48), Size: 64}
}
