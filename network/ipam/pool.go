// Package ipam does the arithmetic of addresses: which subnet a network gets, which address an endpoint.
// It is pure; what is taken on the host is told to it.
package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Pool hands out the addresses of one subnet. It belongs to whoever guards it.
type Pool struct {
	Subnet  netip.Prefix
	Range   netip.Prefix // those given out by Next
	Gateway netip.Addr

	used map[netip.Addr]string // by whom
	last netip.Addr
}

// NewPool checks a subnet and what is said about it. An invalid rng is all of subnet, an invalid gateway is none. aux addresses are kept for others.
func NewPool(subnet, rng netip.Prefix, gateway netip.Addr, aux []netip.Addr) (*Pool, error) {
	bad := func(format string, args ...any) (*Pool, error) {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use subnet %s: "+format, append([]any{subnet}, args...)...))
	}
	if !subnet.IsValid() {
		return bad("it is not an address/bits pair")
	}
	if subnet != subnet.Masked() {
		return bad("it has host bits set; write %s", subnet.Masked())
	}
	if subnet.Addr().IsMulticast() {
		return bad("its addresses are those of groups, not of hosts (RFC 5771, RFC 4291 section 2.7)")
	}
	if hosts := subnet.Addr().BitLen() - subnet.Bits(); hosts < 2 {
		return bad("it has no room for a gateway and a container; use /%d or larger", subnet.Addr().BitLen()-2)
	}
	if !rng.IsValid() {
		rng = subnet
	}
	rng = rng.Masked()
	if !within(rng, subnet) {
		return bad("ip_range %s is not inside it", rng)
	}
	p := &Pool{Subnet: subnet, Range: rng, used: map[netip.Addr]string{}}
	if gateway.IsValid() {
		if !p.host(gateway) {
			return bad("gateway %s is not a host address of it", gateway)
		}
		p.Gateway = gateway
		p.used[gateway] = "the gateway"
	}
	for _, a := range aux {
		if !p.host(a) {
			return bad("auxiliary address %s is not a host address of it", a)
		}
		p.used[a] = "an auxiliary address of the network"
	}
	return p, nil
}

// host says whether a may belong to a host: the subnet's first address and, for IPv4, its last have other meanings
// (RFC 1122 section 3.2.1.3, RFC 4291 section 2.6.1).
func (p *Pool) host(a netip.Addr) bool {
	return p.Subnet.Contains(a) && a != p.Subnet.Addr() && !(a.Is4() && a == lastOf(p.Subnet))
}

// Reserved is how many addresses of Range nobody gets from Next: the subnet's own, the gateway, the auxiliary ones. Precondition: nothing has
// been given out.
func (p *Pool) Reserved() (n int) {
	for a := range p.used {
		if p.Range.Contains(a) {
			n++
		}
	}
	if p.Range.Contains(p.Subnet.Addr()) {
		n++
	}
	if last := lastOf(p.Subnet); last.Is4() && p.Range.Contains(last) {
		n++
	}
	return n
}

// Take gives a to who. Errors: ErrInvalidArgument outside the subnet, ErrConflict when somebody else has it.
func (p *Pool) Take(a netip.Addr, who string) error {
	if !p.Subnet.Contains(a) {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("address %s is outside the network's subnet %s", a, p.Subnet))
	}
	if !p.host(a) {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("address %s is not a host address of subnet %s", a, p.Subnet))
	}
	if by, ok := p.used[a]; ok && by != who {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("address %s is taken by %s", a, by))
	}
	p.used[a] = who
	return nil
}

// Next gives the next free address to who, one of kept only when no other is free. It goes on from the last one, so that an address which was
// given back rests as long as possible: peers may still send to it.
func (p *Pool) Next(who string, kept map[netip.Addr]bool) (netip.Addr, error) {
	a, ok := p.free(kept)
	if !ok {
		a, ok = p.free(nil)
	}
	if !ok {
		return a, errdefs.With(errdefs.ErrUnavailable, fmt.Errorf(
			"no address is free in %s: %d are taken; give the network a larger subnet in the file (ipam.config.subnet)", p.Range, len(p.used)))
	}
	p.used[a], p.last = who, a
	return a, nil
}

// free is the next address after the last one that nobody has and that is none of kept.
func (p *Pool) free(kept map[netip.Addr]bool) (netip.Addr, bool) {
	start := p.last
	if !start.IsValid() {
		start = p.Range.Addr().Prev()
	}
	for a, wrapped := start.Next(), false; ; a = a.Next() {
		if !a.IsValid() || !p.Range.Contains(a) {
			if wrapped {
				break
			}
			a, wrapped = p.Range.Addr(), true
		}
		if _, taken := p.used[a]; !taken && !kept[a] && p.host(a) {
			return a, true
		}
		if wrapped && a == start {
			break
		}
	}
	return netip.Addr{}, false
}

// Release takes a back if who has it.
func (p *Pool) Release(a netip.Addr, who string) {
	if p.used[a] == who {
		delete(p.used, a)
	}
}

// Base is a range from which networks get subnets of Size bits.
type Base struct {
	Prefix netip.Prefix
	Size   int
}

// Taken is a prefix that somebody else has.
type Taken struct {
	Prefix netip.Prefix
	By     string // "network shop_default"
}

// Choose returns the first subnet of bases, looking from the n-th of each on, that overlaps nothing in taken. Different
// instances start at different n, so that they seldom want the same one. ErrUnavailable says who has them.
func Choose(bases []Base, taken []Taken, n uint64) (netip.Prefix, error) {
	for _, b := range bases {
		count := uint64(1) << min(b.Size-b.Prefix.Bits(), 24)
		for i := range count {
			p := nth(b.Prefix, b.Size, (n+i)%count)
			if !slices.ContainsFunc(taken, func(t Taken) bool { return t.Prefix.Overlaps(p) }) {
				return p, nil
			}
		}
	}
	var all []string
	for _, b := range bases {
		all = append(all, fmt.Sprintf("%s in /%d by %s", b.Prefix, b.Size, b.takers(taken)))
	}
	return netip.Prefix{}, errdefs.With(errdefs.ErrUnavailable, fmt.Errorf(
		"every subnet of the address pools is taken: %s; take projects down that are not used, or add a pool to address-pools of the configuration file",
		strings.Join(all, "; ")))
}

// takers names who of taken has something of b: one who has all of it, or the first some.
func (b Base) takers(taken []Taken) string {
	const most = 3 // that are named
	var names []string
	for _, t := range taken {
		switch {
		case within(b.Prefix, t.Prefix):
			return t.By
		case t.Prefix.Overlaps(b.Prefix) && !slices.Contains(names, t.By):
			names = append(names, t.By)
		}
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// Overlapping finds the first of taken that overlaps p.
func Overlapping(p netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, t := range taken {
		if t.Overlaps(p) {
			return t, true
		}
	}
	return netip.Prefix{}, false
}

// nth is the n-th subnet of size bits in base.
func nth(base netip.Prefix, size int, n uint64) netip.Prefix {
	b := base.Masked().Addr().AsSlice()
	// Add n shifted to bit position size, by bytes from the last of the subnet part.
	shift := uint(len(b)*8-size) % 8
	for i := (size - 1) / 8; i >= 0 && n > 0; i-- {
		sum := uint64(b[i]) + (n<<shift)&0xff
		n = (n << shift) >> 8
		shift = 0
		b[i] = byte(sum)
		n += sum >> 8
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, size)
}

// lastOf is the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// within says whether inner lies in outer.
func within(inner, outer netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
