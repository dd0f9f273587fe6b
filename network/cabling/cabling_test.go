package cabling

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/bridge"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/media"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/parent"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sight"
)

// all: front and back are on bridges, with and without a way out; lan is on a link of the host.
var all = []record.Network{
	{
		Config: definition.Config{ID: "front", IPv4: true, IPv6: true}, Link: "br-front",
		Pools: []definition.Pool{pool("10.9.0.0/24", "10.9.0.1"), pool("fd00:9::/64", "fd00:9::1")},
	},
	{Config: definition.Config{ID: "back", IPv4: true, Internal: true}, Link: "br-back", Pools: []definition.Pool{pool("10.9.1.0/24", "10.9.1.1")}},
	{
		Config: definition.Config{ID: "lan", Driver: definition.Macvlan, IPv4: true, DriverOpts: map[string]string{definition.OptParent: "eth9"}}, Link: "eth9",
		Pools: []definition.Pool{pool("10.9.2.0/24", "10.9.2.1")},
	},
}

func pool(subnet, gateway string) definition.Pool {
	return definition.Pool{Subnet: netip.MustParsePrefix(subnet), Gateway: netip.MustParseAddr(gateway)}
}

// cables are those to all, and the networks.
func cables(t *testing.T) (*Cabling, *membership.Networks) {
	t.Helper()
	dir := t.TempDir()
	store, err := record.Open(dir)
	if err := errors.Join(err, os.Mkdir(filepath.Join(dir, "networks"), 0o700)); err != nil {
		t.Fatal(err)
	}
	networks := membership.New(store)
	for _, r := range all {
		if _, err := networks.Add(func([]record.Network) (record.Network, error) { return r, nil }); err != nil {
			t.Fatal(err)
		}
	}
	return New(networks, media.New(new(bridge.Bridges), parent.New(nil, "", nil))), networks
}

// take puts a container on networks.
func take(t *testing.T, c *Cabling, networks ...definition.EndpointConfig) []record.Endpoint {
	t.Helper()
	links := uint64(0)
	eps, err := c.Take(definition.SandboxConfig{ContainerID: "c", Endpoints: networks}, nil, func() uint64 { links++; return links })
	if err != nil {
		t.Fatal(err)
	}
	return eps
}

// TestTake: who gets an address has a link of the host too, where the network's medium has one for each, and no two have one.
func TestTake(t *testing.T) {
	c, _ := cables(t)
	eps := take(t, c, definition.EndpointConfig{Network: "front"}, definition.EndpointConfig{Network: "lan"}, definition.EndpointConfig{Network: "back"})
	var links []string
	for _, ep := range eps {
		if !ep.Addr4.IsValid() {
			t.Errorf("no address on %s", ep.Network)
		}
		links = append(links, ep.HostLink)
	}
	if links[0] == "" || links[1] != "" || links[2] == "" || links[0] == links[2] {
		t.Errorf("on a bridge, on a parent, on another bridge: %q", links)
	}
	if got, want := HostLinks(eps), []string{links[0], links[2]}; !slices.Equal(got, want) {
		t.Errorf("the host has %q, expected %q", got, want)
	}
	_, err := c.Take(definition.SandboxConfig{ContainerID: "d", Endpoints: []definition.EndpointConfig{{Network: "front"}, {Network: "gone"}}}, nil, func() uint64 { return 9 })
	if !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("on a network that is not there: %v", err)
	}
}

// TestRoutes: one default route for each family, by a network that has a way out: of several that of the highest priority, of equals the first.
func TestRoutes(t *testing.T) {
	c, networks := cables(t)
	front, back, lan := definition.EndpointConfig{Network: "front"}, definition.EndpointConfig{Network: "back"}, definition.EndpointConfig{Network: "lan"}
	preferred := lan
	preferred.GwPriority = 1
	v4 := func(i, gateway string) interior.Route {
		return interior.Route{Interface: i, Gateway: netip.MustParseAddr(gateway), V4: true}
	}
	v6 := func(i string) interior.Route {
		return interior.Route{Interface: i, Gateway: netip.MustParseAddr("fd00:9::1")}
	}
	for _, tt := range []struct {
		name string
		on   []definition.EndpointConfig
		want []interior.Route
	}{
		{"nowhere", nil, nil},
		{"no way out", []definition.EndpointConfig{back}, nil},
		{"both families", []definition.EndpointConfig{front}, []interior.Route{v4("eth0", "10.9.0.1"), v6("eth0")}},
		{"past one without", []definition.EndpointConfig{back, front}, []interior.Route{v4("eth1", "10.9.0.1"), v6("eth1")}},
		{"the first of equals", []definition.EndpointConfig{lan, front}, []interior.Route{v4("eth0", "10.9.2.1"), v6("eth1")}},
		{"by priority", []definition.EndpointConfig{front, preferred}, []interior.Route{v4("eth1", "10.9.2.1"), v6("eth0")}},
	} {
		eps := take(t, c, tt.on...)
		if got := c.Routes(eps); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, expected %+v", tt.name, got, tt.want)
		}
		networks.Give(eps, "c")
	}
}

// TestGuests: the firewall has to know of further addresses behind bridges, and of none where packets pass it by.
func TestGuests(t *testing.T) {
	c, _ := cables(t)
	further := netip.MustParseAddr("169.254.7.7")
	eps := take(t, c, definition.EndpointConfig{Network: "front", LinkLocal: []netip.Addr{further}}, definition.EndpointConfig{Network: "back"})
	eps = append(eps, record.Endpoint{EndpointConfig: definition.EndpointConfig{Network: "lan", LinkLocal: []netip.Addr{further}}},
		record.Endpoint{EndpointConfig: definition.EndpointConfig{Network: "gone", LinkLocal: []netip.Addr{further}}})
	if got, want := c.Guests(eps), []nft.Guest{{Bridge: "br-front", Addr: further}}; !slices.Equal(got, want) {
		t.Errorf("%+v, expected %+v", got, want)
	}
}

// TestProblem says of the host's side of an endpoint what is wrong with it, in the words of its medium, also when its network has gone.
func TestProblem(t *testing.T) {
	c, networks := cables(t)
	ep := take(t, c, definition.EndpointConfig{Network: "front"})[0]
	bridge, well := sight.Link{Index: 3}, sight.Link{Index: 4, On: 3, Up: true}
	down, astray := well, well
	down.Up, astray.On = false, 5
	for _, tt := range []struct {
		name string
		link *sight.Link
		want string
		peer int
	}{
		{"well", &well, "", 4},
		{"down", &down, `its interface on network "front" is down on the host's side`, 4},
		{"on another bridge", &astray, `its interface is not on the bridge of network "front"`, 4},
		{"gone", nil, `its interface on network "front" is gone`, 0},
	} {
		host := sight.Host{Links: map[string]sight.Link{"br-front": bridge}}
		if tt.link != nil {
			host.Links[ep.HostLink] = *tt.link
		}
		if got := c.Problem(ep, host); got != tt.want {
			t.Errorf("%s: %q, expected %q", tt.name, got, tt.want)
		}
		if got := c.Peer(ep, host); got != tt.peer {
			t.Errorf("%s: leads to link %d, expected %d", tt.name, got, tt.peer)
		}
	}
	networks.Give([]record.Endpoint{ep}, "c")
	gone := ep
	gone.Network = "gone"
	if got, want := c.Problem(gone, sight.Host{}), `network "gone" is gone`; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	if got := c.Peer(gone, sight.Host{}); got != 0 {
		t.Errorf("an endpoint of a network that is gone leads to link %d", got)
	}
}
