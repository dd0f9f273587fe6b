package publish

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stackrun/stack/network/definition"
)

// TestInherit: who asks for one port gets it, then who asks for a range, then who takes any of its container's port.
func TestInherit(t *testing.T) {
	fixed := definition.Port{HostPort: 9001, ContainerPort: 90, Protocol: "tcp"}
	ranged := definition.Port{HostPort: 9000, HostPortEnd: 9003, ContainerPort: 90, Protocol: "tcp"}
	any70 := definition.Port{ContainerPort: 70, Protocol: "tcp"}
	bound := func(host, container uint16) definition.Port {
		return definition.Port{HostPort: host, ContainerPort: container, Protocol: "tcp"}
	}
	udp, elsewhere := fixed, fixed
	udp.Protocol, elsewhere.HostIP = "udp", netip.MustParseAddr("127.0.0.1")
	for what, c := range map[string]struct {
		ports, bound []definition.Port
		want         []int
	}{
		"fixed before a range":    {[]definition.Port{ranged, fixed}, []definition.Port{bound(9001, 90), bound(9002, 90)}, []int{1, 0}},
		"one port goes once":      {[]definition.Port{fixed, ranged}, []definition.Port{bound(9001, 90)}, []int{0, -1}},
		"any by the container's":  {[]definition.Port{any70}, []definition.Port{bound(40000, 71), bound(40001, 70)}, []int{1}},
		"a range before any":      {[]definition.Port{{ContainerPort: 90, Protocol: "tcp"}, ranged}, []definition.Port{bound(9000, 90)}, []int{-1, 0}},
		"of its own protocol":     {[]definition.Port{udp}, []definition.Port{bound(9001, 90)}, []int{-1}},
		"of its own address":      {[]definition.Port{elsewhere}, []definition.Port{bound(9001, 90)}, []int{-1}},
		"of no range's far end":   {[]definition.Port{ranged}, []definition.Port{bound(9004, 90)}, []int{-1}},
		"nobody was there before": {[]definition.Port{fixed, ranged, any70}, nil, []int{-1, -1, -1}},
	} {
		if got := Inherit(c.ports, c.bound); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, expected %v", what, got, c.want)
		}
	}
}
