package subnet

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func pools(all ...string) (out []definition.Pool) {
	for _, p := range prefixes(all...) {
		out = append(out, definition.Pool{Subnet: p})
	}
	return out
}

// TestChoose: what a user says is taken or refused, and who says nothing gets what nobody has.
func TestChoose(t *testing.T) {
	c, err := NewChooser("i", []Range{{Base: netip.MustParsePrefix("10.0.0.0/22"), Size: 24}})
	if err != nil {
		t.Fatal(err)
	}
	theirs := []record.Network{{Config: definition.Config{ID: "theirs"}, Pools: pools("10.0.0.0/24")}}
	parent := definition.Config{ID: "n", Driver: definition.Macvlan, Pools: pools("192.0.2.0/24")}
	for name, tt := range map[string]struct {
		of            definition.Config
		addrs, routes []netip.Prefix
		want          string // of the first subnet
		err           string
	}{
		"all but one are taken":        {definition.Config{ID: "n", IPv4: true}, prefixes("10.0.1.5/24"), prefixes("10.0.2.0/24"), "10.0.3.0/24", ""},
		"all are taken":                {definition.Config{ID: "n", IPv4: true}, nil, prefixes("10.0.0.0/8"), "", "every subnet"},
		"the user's":                   {definition.Config{ID: "n", Pools: pools("192.0.2.0/24")}, prefixes("10.0.1.5/24"), nil, "192.0.2.0/24", ""},
		"the user's, to which a route": {definition.Config{ID: "n", Pools: pools("192.0.2.0/24")}, nil, prefixes("192.0.0.0/16"), "192.0.2.0/24", ""},
		"the user's, of another":       {definition.Config{ID: "n", Pools: pools("10.0.0.128/25")}, nil, nil, "", `overlaps 10.0.0.0/24 of network "theirs"`},
		"the user's, the host's own":   {definition.Config{ID: "n", Pools: pools("192.0.2.0/24")}, prefixes("192.0.2.7/24"), nil, "", "overlaps 192.0.2.7/24, which this host is on"},
		"on a parent, the host's own":  {parent, prefixes("192.0.2.7/24"), nil, "192.0.2.0/24", ""},
	} {
		got, err := c.Choose(tt.of, theirs, tt.addrs, tt.routes)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		case err != nil || len(got) != 1 || got[0].Subnet.String() != tt.want:
			t.Errorf("%s: %+v, %v; want %s", name, got, err, tt.want)
		}
	}
}

// TestChooseIPv6: an instance has a range of its own, in which a network's subnet is the same each time.
func TestChooseIPv6(t *testing.T) {
	seen := map[netip.Prefix]string{}
	for _, instance := range []string{"i", "j"} {
		c, err := NewChooser(instance, nil)
		if err != nil {
			t.Fatal(err)
		}
		of := definition.Config{ID: "n", IPv6: true}
		one, err1 := c.Choose(of, nil, nil, nil)
		two, err2 := c.Choose(of, nil, nil, nil)
		if err := errors.Join(err1, err2); err != nil || one[0].Subnet != two[0].Subnet || one[0].Subnet.Bits() != 64 || one[0].Subnet.Addr().As16()[0] != 0xfd {
			t.Fatalf("%v, %v, %v", one, two, err)
		}
		own := netip.PrefixFrom(one[0].Subnet.Addr(), 48).Masked()
		if other := seen[own]; other != "" {
			t.Errorf("%s and %s have one range, %s", other, instance, own)
		}
		seen[own] = instance
	}
}

// TestRanges: one that has no room, or is none, is refused when the daemon begins.
func TestRanges(t *testing.T) {
	for text, size := range map[string]int{"10.0.0.0/16": 8, "10.0.0.0/15": 31, "10.0.0.1/16": 24} {
		if _, err := NewChooser("i", []Range{{Base: netip.MustParsePrefix(text), Size: size}}); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s in pieces of /%d: %v", text, size, err)
		}
	}
	if _, err := NewChooser("i", []Range{{}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("none: %v", err)
	}
}
