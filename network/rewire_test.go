package network

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/errdefs"
)

// rewire puts b on networks, in their order.
func (h *host) rewire(b box, c SandboxConfig, networks ...string) box {
	h.t.Helper()
	c.Endpoints = nil
	for _, n := range networks {
		c.Endpoints = append(c.Endpoints, EndpointConfig{Network: n, Names: []string{c.ContainerID}})
	}
	s, err := h.Rewire(h.t.Context(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return box{s, h.t}
}

func (b box) on(network string) Endpoint {
	i := slices.IndexFunc(b.Endpoints, func(ep Endpoint) bool { return ep.Network == network })
	if i < 0 {
		b.t.Fatalf("%s is not on %s: %+v", b.ContainerID, network, b.Endpoints)
	}
	return b.Endpoints[i]
}

func (h *host) healthy() {
	h.t.Helper()
	boxes, err := h.Sandboxes(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range boxes {
		if !b.Healthy || b.Problem != "" {
			h.t.Errorf("%s: %s", b.ContainerID, b.Problem)
		}
	}
}

// TestRewire: a running container comes onto a network and leaves one; what it keeps is as it was.
func TestRewire(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "a", IPv4: true, IPv6: true})
	h.network(Config{ID: "b"})
	c := SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "a", Names: []string{"web"}}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}
	web := h.setup(c)
	web.greet(80, "web")
	first, second := h.box("first", "a"), h.box("second", "b")
	kept := web.on("a")

	both := h.rewire(web, c, "a", "b")
	h.healthy()
	if now := both.on("a"); now.Addr4 != kept.Addr4 || now.Interface != "eth0" || both.on("b").Interface != "eth1" {
		t.Errorf("%+v", both.Endpoints)
	}
	for at, from := range map[string]box{at(kept.Addr4.Addr(), 80): first, at(both.on("b").Addr4.Addr(), 80): second} {
		if got, err := from.ask(at); err != nil || !strings.HasPrefix(got, "web ") {
			t.Errorf("%s at %s: %q, %v", from.ContainerID, at, got, err)
		}
	}
	if got := second.resolve("web"); !slices.Equal(got, []string{both.on("b").Addr4.Addr().String()}) {
		t.Errorf("web is %v for the second", got)
	}
	if got := both.resolve("second"); len(got) != 1 {
		t.Errorf("second is %v", got)
	}
	again := h.rewire(both, c, "a", "b")
	if !slices.EqualFunc(again.Endpoints, both.Endpoints, func(x, y Endpoint) bool { return x.Addr4 == y.Addr4 && x.HostLink == y.HostLink }) {
		t.Errorf("once more: %+v, was %+v", again.Endpoints, both.Endpoints)
	}

	// The next daemon knows.
	h.kill()
	h.start()
	h.healthy()

	// It leaves the network that its ports and its default route led by.
	left := h.rewire(both, c, "b")
	h.healthy()
	if len(left.Endpoints) != 1 || left.on("b").Addr4 != both.on("b").Addr4 || left.on("b").Interface != "eth1" {
		t.Errorf("%+v", left.Endpoints)
	}
	if got, err := ask("127.0.0.1:8080"); err != nil || !strings.HasPrefix(got, "web ") {
		t.Errorf("by its published port: %q, %v", got, err)
	}
	left.do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if l.Attrs().Name == "eth0" {
				t.Error("its interface on the first network is there still")
			}
		}
		routes, _ := netlink.RouteList(nil, netlink.FAMILY_V4)
		if !slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw != nil && r.Gw.Equal(net.IP(left.on("b").Gateway4.AsSlice())) }) {
			t.Errorf("its routes are %v", routes)
		}
		return err
	})
	if got := first.resolve("web"); len(got) != 0 {
		t.Errorf("web is %v for the first", got)
	}
	if got := left.resolve("first"); len(got) != 0 {
		t.Errorf("first is %v", got)
	}
	// Its address is free for others, and nothing of it keeps the network.
	if other := h.setup(SandboxConfig{ContainerID: "other", Endpoints: []EndpointConfig{{Network: "a", IPv4: kept.Addr4.Addr()}}}); other.addr4() != kept.Addr4.Addr() {
		t.Errorf("%+v", other)
	}
	if err := h.Teardown(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if err := h.Teardown(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// TestRewireFromNothing: ports that had no way in are published with the first network that has one, and names are answered.
func TestRewireFromNothing(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "in", Internal: true})
	h.network(Config{ID: "out"})
	c := SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "in"}}, Ports: []Port{{HostPort: 8081, ContainerPort: 80, Protocol: "tcp"}}}
	web := h.setup(c)
	web.greet(80, "web")
	none := h.rewire(web, c)
	if len(none.Endpoints) != 0 {
		t.Errorf("%+v", none)
	}
	h.healthy()
	out := h.rewire(none, c, "out")
	h.healthy()
	if len(out.Ports) != 1 || out.on("out").Interface != "eth0" {
		t.Errorf("%+v", out)
	}
	if got, err := ask("127.0.0.1:8081"); err != nil || !strings.HasPrefix(got, "web ") {
		t.Errorf("%q, %v", got, err)
	}
	if got := out.resolve("web"); len(got) != 1 {
		t.Errorf("web is %v", got)
	}
}

// TestRewireRefuses leaves everything as it was.
func TestRewireRefuses(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "a", Pools: pool("10.88.0.0/24")})
	h.network(Config{ID: "b", Pools: pool("10.89.0.0/24")})
	c := SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "a"}}}
	web := h.setup(c)
	holder := h.box("holder", "b")
	with := func(eps ...EndpointConfig) SandboxConfig {
		return SandboxConfig{ContainerID: "web", Endpoints: append([]EndpointConfig{{Network: "a"}}, eps...)}
	}
	for what, test := range map[string]struct {
		c    SandboxConfig
		kind error
	}{
		"no such network":   {with(EndpointConfig{Network: "c"}), errdefs.ErrNotFound},
		"a taken address":   {with(EndpointConfig{Network: "b", IPv4: holder.addr4()}), errdefs.ErrConflict},
		"an address apart":  {with(EndpointConfig{Network: "b", IPv4: netip.MustParseAddr("10.90.0.1")}), errdefs.ErrInvalidArgument},
		"a taken interface": {with(EndpointConfig{Network: "b", Interface: "eth0"}), errdefs.ErrInvalidArgument},
		"no such container": {SandboxConfig{ContainerID: "nobody"}, errdefs.ErrNotFound},
		"other ports":       {SandboxConfig{ContainerID: "web", Endpoints: c.Endpoints, Ports: []Port{{ContainerPort: 1, Protocol: "tcp"}}}, errdefs.ErrConflict},
	} {
		if _, err := h.Rewire(t.Context(), test.c); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.healthy()
	boxes, err := h.Sandboxes(t.Context())
	if err != nil || len(boxes) != 2 || len(boxes[1].Endpoints) != 1 || boxes[1].Endpoints[0].Addr4 != web.Endpoints[0].Addr4 {
		t.Errorf("%+v, %v", boxes, err)
	}
	if left := h.box("next", "b"); !left.addr4().IsValid() {
		t.Error("an address is lost")
	}

	// What was on no network goes by another name than on one; a port that is taken is found out after its address was.
	lone := SandboxConfig{ContainerID: "an-id", Ports: []Port{{HostPort: 8082, ContainerPort: 80, Protocol: "tcp"}}}
	h.setup(lone)
	taken, err := net.Listen("tcp", "0.0.0.0:8082")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	on := EndpointConfig{Network: "a", IPv4: netip.MustParseAddr("10.88.0.99"), Names: []string{"lone"}}
	lone.Endpoints = []EndpointConfig{on}
	if _, err := h.Rewire(t.Context(), lone); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("a port that is taken: %v", err)
	}
	on.Names = []string{"heir"}
	if heir := h.setup(SandboxConfig{ContainerID: "heir", Endpoints: []EndpointConfig{on}}); heir.addr4() != on.IPv4 {
		t.Errorf("%v", heir.addr4())
	}
}
