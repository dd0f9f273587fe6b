package publish

import (
	"net"
	"net/netip"
	"slices"
	"sync"
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

// alone is a host without containers.
type alone struct{}

func (alone) Publisher(definition.Port, uint16) string { return "" }

// TestLookers: two who look at once whether a port can be published are not in each other's way, nor in that of who takes it.
func TestLookers(t *testing.T) {
	l, err := net.Listen("tcp", "127.93.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	p := definition.Port{HostIP: at.Addr(), HostPort: at.Port(), ContainerPort: 80, Protocol: "tcp"}
	a := New(alone{})
	defer a.Close()
	for what, taken := range map[string]bool{"beside lookers": false, "beside who takes it": true} {
		var g sync.WaitGroup
		for range 4 {
			g.Go(func() {
				for range 200 {
					if err := a.Check("", []definition.Port{p}); err != nil && !taken {
						t.Errorf("who looks %s: %v", what, err)
						return
					}
				}
			})
		}
		for range 200 {
			if !taken {
				break
			}
			r, err := a.BindFor("", p)
			if err != nil {
				t.Errorf("who takes it beside lookers: %v", err)
				break
			}
			r.Close()
		}
		g.Wait()
	}
}
