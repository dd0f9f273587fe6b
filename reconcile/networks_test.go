package reconcile_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// TestNetworksOfOneFileThatCannotBothBe: they are refused before one of them is made.
func TestNetworksOfOneFileThatCannotBothBe(t *testing.T) {
	for name, x := range map[string]struct {
		a, b spec.Network
		want string
	}{
		"one parent for two drivers": {spec.Network{Driver: "macvlan", DriverOpts: map[string]string{"parent": "eth0"}}, spec.Network{Driver: "ipvlan", DriverOpts: map[string]string{"parent": "eth0"}}, "has the parent eth0 too"},
		"one subnet in another": {spec.Network{Driver: "bridge", IPAM: []spec.IPAMPool{{Subnet: "10.7.0.0/16"}}}, spec.Network{Driver: "bridge", IPAM: []spec.IPAMPool{{Subnet: "10.7.1.0/24"}}},
			"10.7.1.0/24 of network shop_b and 10.7.0.0/16 of network shop_a"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("web", func(s *spec.Service) { s.Networks = map[string]*spec.Endpoint{"a": nil, "b": nil} }))
				x.a.Key, x.a.Name, x.b.Key, x.b.Name = "a", "shop_a", "b", "shop_b"
				p.Networks = map[string]*spec.Network{"a": &x.a, "b": &x.b}
				err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
				if err == nil || !strings.Contains(err.Error(), x.want) {
					b.Errorf("got %v, expected %q", err, x.want)
				}
				if left := b.host.Left(); len(left) != 0 {
					b.Errorf("made was %v", left)
				}
			})
		})
	}
}
