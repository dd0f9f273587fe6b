package ipam

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

func prefix(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func TestNewPoolChecks(t *testing.T) {
	for _, c := range []struct{ subnet, rng, gateway, aux, wrong string }{
		{"10.1.0.0/24", "", "", "", ""},
		{"10.1.0.0/24", "10.1.0.128/25", "10.1.0.9", "10.1.0.10", ""},
		{"fd00::/64", "", "", "", ""},
		{"10.1.0.0/30", "", "", "", ""},
		{"10.1.0.4/24", "", "", "", "write 10.1.0.0/24"},
		{"10.1.0.0/31", "", "", "", "/30 or larger"},
		{"10.1.0.0/24", "10.2.0.0/25", "", "", "ip_range 10.2.0.0/25"},
		{"10.1.0.0/24", "10.0.0.0/8", "", "", "ip_range"},
		{"10.1.0.0/24", "", "10.2.0.1", "", "gateway 10.2.0.1"},
		{"10.1.0.0/24", "", "10.1.0.255", "", "gateway 10.1.0.255"},
		{"10.1.0.0/24", "", "", "10.9.0.1", "auxiliary address 10.9.0.1"},
	} {
		var aux []netip.Addr
		if c.aux != "" {
			aux = append(aux, addr(c.aux))
		}
		_, err := NewPool(prefix(c.subnet), prefix(c.rng), addr(c.gateway), aux)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", c.subnet, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong) || !errors.Is(err, errdefs.ErrInvalidArgument)):
			t.Errorf("%v: got %v", c, err)
		}
	}
}

func TestPoolGivesEachAddressOnce(t *testing.T) {
	p, err := NewPool(prefix("10.1.0.0/28"), netip.Prefix{}, addr("10.1.0.1"), []netip.Addr{addr("10.1.0.5")})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]bool{}
	for range 12 { // 14 hosts less gateway and auxiliary
		a, err := p.Next("x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if seen[a] || a == p.Gateway || a == addr("10.1.0.5") || !p.host(a) {
			t.Fatalf("gave %s", a)
		}
		seen[a] = true
	}
	if _, err := p.Next("x", nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Fatalf("a full pool gave %v", err)
	}
	p.Release(addr("10.1.0.7"), "another")
	if _, err := p.Next("x", nil); err == nil {
		t.Fatal("released for somebody who did not have it")
	}
	p.Release(addr("10.1.0.7"), "x")
	if a, err := p.Next("y", nil); err != nil || a != addr("10.1.0.7") {
		t.Fatalf("%v %v", a, err)
	}
}

func TestAddressesRest(t *testing.T) {
	p, _ := NewPool(prefix("10.1.0.0/24"), netip.Prefix{}, netip.Addr{}, nil)
	a, _ := p.Next("x", nil)
	p.Release(a, "x")
	if b, _ := p.Next("x", nil); a == b {
		t.Fatalf("%s came back at once", a)
	}
}

func TestPoolWithoutGateway(t *testing.T) {
	p, err := NewPool(prefix("10.1.0.0/24"), netip.Prefix{}, netip.Addr{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := p.Next("x", nil); err != nil || a != addr("10.1.0.1") {
		t.Fatalf("%v %v", a, err)
	}
}

func TestTake(t *testing.T) {
	p, _ := NewPool(prefix("10.1.0.0/24"), netip.Prefix{}, addr("10.1.0.1"), nil)
	for _, c := range []struct {
		a    string
		kind error
	}{
		{"10.1.0.9", nil}, {"10.1.0.1", errdefs.ErrConflict}, {"10.2.0.1", errdefs.ErrInvalidArgument},
		{"10.1.0.255", errdefs.ErrInvalidArgument}, {"10.1.0.0", errdefs.ErrInvalidArgument},
	} {
		if err := p.Take(addr(c.a), "x"); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", c.a, err)
		}
	}
	if err := p.Take(addr("10.1.0.9"), "x"); err != nil {
		t.Errorf("again by the same: %v", err)
	}
	if err := p.Take(addr("10.1.0.9"), "y"); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "taken by x") {
		t.Errorf("by another: %v", err)
	}
}

func TestChooseAvoids(t *testing.T) {
	bases := []Base{{prefix("10.201.0.0/16"), 23}, {prefix("10.99.0.0/24"), 26}}
	for _, c := range []struct {
		taken string
		n     uint64
		want  string
	}{
		{"", 0, "10.201.0.0/23"},
		{"", 3, "10.201.6.0/23"},
		{"10.201.0.0/24", 0, "10.201.2.0/23"},
		{"10.201.0.0/17", 0, "10.201.128.0/23"},
		{"10.201.254.0/23", 127, "10.201.0.0/23"},
		{"10.200.0.0/15", 0, "10.99.0.0/26"},
		{"10.0.0.0/8", 0, ""},
	} {
		var taken []Taken
		if c.taken != "" {
			taken = append(taken, Taken{Prefix: prefix(c.taken)})
		}
		got, err := Choose(bases, taken, c.n)
		if (err != nil) != (c.want == "") || (err == nil && got.String() != c.want) {
			t.Errorf("%v: got %s, %v", c, got, err)
		}
	}
}

// TestChooseNamesWhoHasThem: of each base who has all of it, or some of those who have parts.
func TestChooseNamesWhoHasThem(t *testing.T) {
	bases := []Base{{prefix("10.201.0.0/24"), 26}, {prefix("172.28.0.0/30"), 30}}
	taken := []Taken{{prefix("172.16.0.0/12"), "the VPN"}}
	for i, who := range []string{"a", "b", "b", "c"} {
		taken = append(taken, Taken{nth(bases[0].Prefix, 26, uint64(i)), "network " + who})
	}
	for want, all := range map[string][]Taken{
		"10.201.0.0/24 in /26 by network a, network b, network c; 172.28.0.0/30 in /30 by the VPN;":             taken,
		"10.201.0.0/24 in /26 by network a, network b, network c, and 1 more; 172.28.0.0/30 in /30 by the VPN;": append(taken, Taken{prefix("10.201.0.128/25"), "the LAN"}),
	} {
		if _, err := Choose(bases, all, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestNth(t *testing.T) {
	for _, c := range []struct {
		base string
		size int
		n    uint64
		want string
	}{
		{"10.0.0.0/8", 23, 0x7fff, "10.255.254.0/23"},
		{"10.201.0.0/16", 26, 1023, "10.201.255.192/26"},
		{"10.201.0.0/16", 24, 255, "10.201.255.0/24"},
		{"fd12:3456:789a::/48", 64, 0xabcd, "fd12:3456:789a:abcd::/64"},
	} {
		if got := nth(prefix(c.base), c.size, c.n); got.String() != c.want {
			t.Errorf("%v: got %s", c, got)
		}
	}
}
