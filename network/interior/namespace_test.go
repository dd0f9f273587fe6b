package interior

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
)

// whole is the namespace of a container with eth0 at 10.9.0.2, and the endpoint that it is of.
func whole() (Namespace, record.Endpoint) {
	link := func(name string, index, peer int) netlink.Link {
		return &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name, Index: index, ParentIndex: peer, RawFlags: unix.IFF_UP}}
	}
	at := netip.MustParsePrefix("10.9.0.2/24")
	return Namespace{
			links:   map[string]netlink.Link{"lo": link("lo", 1, 0), "eth0": link("eth0", 2, 7)},
			addrs:   map[int][]netip.Prefix{1: {loopback}, 2: {at}},
			subnets: map[int][]netip.Prefix{2: {at.Masked()}},
			route4:  true,
		}, record.Endpoint{EndpointConfig: definition.EndpointConfig{Network: "n", Interface: "eth0"},
			Addr4: at, Gateway4: netip.MustParseAddr("10.9.0.1")}
}

func TestCompare(t *testing.T) {
	down := func(name string) func(*Namespace) {
		return func(w *Namespace) { w.links[name].Attrs().RawFlags = 0 }
	}
	for want, damage := range map[string]func(w *Namespace){
		"":                                    func(w *Namespace) { w.links["tun0"], w.route6 = w.links["eth0"], true }, // the container's own
		"lo is down in its network namespace": down("lo"),
		"lo has lost the address 127.0.0.1":   func(w *Namespace) { delete(w.addrs, 1) },
		"its interface eth0 is gone":          func(w *Namespace) { delete(w.links, "eth0") },
		"its interface eth0 is down":          down("eth0"),
		"its interface eth0 has lost the address 10.9.0.2":     func(w *Namespace) { delete(w.addrs, 2) },
		"its interface eth0 has lost the route to 10.9.0.0/24": func(w *Namespace) { delete(w.subnets, 2) },
		"its default route by 10.9.0.1 is gone":                func(w *Namespace) { w.route4 = false },
	} {
		w, ep := whole()
		damage(&w)
		got, peers := w.Compare([]record.Endpoint{ep}, []Route{{Interface: "eth0", Gateway: ep.Gateway4, V4: true}})
		if got != want || want == "" && !slices.Equal(peers, []int{7}) {
			t.Errorf("%q with peers %v, expected %q", got, peers, want)
		}
	}
}
