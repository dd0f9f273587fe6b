package dns

import (
	"net/netip"
	"testing"
)

// A link is a name that one view has more than others, of what is on its networks.
func TestLinks(t *testing.T) {
	z := NewZone("n", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")})
	z.Add(Host{ID: "1", Names: []string{"far-store-1"}, Addr4: netip.MustParseAddr("10.0.0.2")})
	with, without := &View{Zones: []*Zone{z}, Links: map[string]string{"db": "far-store-1", "gone": "nobody"}}, &View{Zones: []*Zone{z}}
	for _, tt := range []struct {
		v     *View
		name  string
		rcode byte
	}{{with, "db", 0}, {with, "DB", 0}, {with, "far-store-1", 0}, {with, "gone", rcodeNXDomain}, {without, "db", rcodeNXDomain}} {
		out, o := tt.v.answer(query(tt.name), nil, 512)
		if o != answered || out[3]&0xf != tt.rcode || tt.rcode == 0 && out[7] != 1 {
			t.Errorf("%s: outcome %d, %x", tt.name, o, out)
		}
	}
}

// query is one for the A record of name.
func query(name string) []byte {
	msg := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(name))}
	return append(append(msg, name...), 0, 0, typeA, 0, classIN)
}
