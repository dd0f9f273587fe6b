package network

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/rtnl"
)

// far is an address behind outside, which is the gateway to it. TEST-NET-3 of RFC 5737, RFC 3849.
const far, far6 = "203.0.113.1", "2001:db8:f::1"

// wire is outside as the network that lan0 leads to: a gateway with something behind it.
func (h *host) wire() box {
	h.t.Helper()
	o := h.outside()
	o.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, a := range []string{far + "/32", far6 + "/128"} {
			if err := netlink.AddrAdd(lo, rtnl.Addr(netip.MustParsePrefix(a))); err != nil {
				return err
			}
		}
		return nil
	})
	return o
}

// lan is a network on parent, with addresses of the wire's that nobody has there.
func lan(driver, parent string) Config {
	return Config{ID: "lan", Driver: driver, IPv4: true, IPv6: true, DriverOpts: map[string]string{definition.OptParent: parent}, Pools: []Pool{
		{Subnet: netip.MustParsePrefix("198.51.100.0/24"), Range: netip.MustParsePrefix("198.51.100.128/25"), Gateway: netip.MustParseAddr(outsideAddr)},
		{Subnet: netip.MustParsePrefix("2001:db8::/64"), Range: netip.MustParsePrefix("2001:db8::80/121"), Gateway: netip.MustParseAddr(outsideAddr6)},
	}}
}

func lanWith(c Config, opts ...string) Config {
	m := map[string]string{}
	for k, v := range c.DriverOpts {
		m[k] = v
	}
	for i := 0; i < len(opts); i += 2 {
		m[opts[i]] = opts[i+1]
	}
	c.DriverOpts = m
	return c
}

// wants asks from b and compares.
func (b box) wants(at, want string) {
	b.t.Helper()
	if got, err := b.ask(at); err != nil || got != want {
		b.t.Errorf("%s asked %s and got %q, %v; want %q", b.ContainerID, at, got, err, want)
	}
}

func (b box) fails(at string) {
	b.t.Helper()
	if got, err := b.ask(at); err == nil {
		b.t.Errorf("%s reached %s: %q", b.ContainerID, at, got)
	}
}

func (b box) addr6() netip.Addr { return b.Endpoints[0].Addr6.Addr() }

// eachChildDriver is for the drivers whose interfaces are on a parent; ipvlan where the kernel has it.
func eachChildDriver(t *testing.T, f func(t *testing.T, driver string)) {
	for _, driver := range []string{definition.Macvlan, definition.IPvlan} {
		t.Run(driver, func(t *testing.T) {
			harness.Require(t)
			harness.LinkKind(t, driver)
			f(t, driver)
		})
	}
}

func TestContainersOnTheWire(t *testing.T) {
	eachChildDriver(t, func(t *testing.T, driver string) {
		h := newHost(t)
		o := h.wire()
		o.greet(80, "outside")
		if st := h.network(lan(driver, "lan0")); st.Link != "lan0" {
			t.Errorf("link %q", st.Link)
		}
		a, b := h.box("a", "lan"), h.box("b", "lan")
		a.greet(81, "a")
		for _, x := range []struct{ a, o, far string }{{a.addr4().String(), outsideAddr, far}, {a.addr6().String(), outsideAddr6, far6}} {
			// Seen by its own address, from both sides: nobody translates.
			a.wants(net.JoinHostPort(x.o, "80"), "outside "+x.a)
			a.wants(net.JoinHostPort(x.far, "80"), "outside "+x.a)
			o.wants(net.JoinHostPort(x.a, "81"), "a "+x.o)
		}
		b.wants(at(a.addr4(), 81), "a "+b.addr4().String())
		// The kernel keeps the host apart from what is on its link.
		if got, err := ask(at(a.addr4(), 81)); err == nil {
			t.Errorf("the host reached a: %q", got)
		}
		if got := b.resolve("a"); fmt.Sprint(got) != fmt.Sprint([]string{a.addr4().String(), a.addr6().String()}) {
			t.Errorf("a is %v", got)
		}
		links, err := netlink.LinkList()
		if err != nil || len(links) != 2 {
			t.Errorf("the host has %d links more than lo and lan0: %v", len(links)-2, err)
		}
		// The next one of the same name has its address at once, though the kernel is not done with the first.
		was := a.addr4()
		if err := h.Teardown(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		eps := []EndpointConfig{{Network: "lan", Names: []string{"a"}, IPv4: was}}
		if a = h.setup(SandboxConfig{ContainerID: "a", Endpoints: eps}); a.addr4() != was {
			t.Errorf("a has %s, had %s", a.addr4(), was)
		}
		a.wants(outsideAddr+":80", "outside "+was.String())
	})
}

func TestInternalOnAParent(t *testing.T) {
	eachChildDriver(t, func(t *testing.T, driver string) {
		h := newHost(t)
		o := h.wire()
		o.greet(80, "outside")
		c := lan(driver, "lan0")
		c.Internal, c.IPv6, c.Pools = true, false, []Pool{{Subnet: netip.MustParsePrefix("198.51.100.128/25")}}
		h.network(c)
		// There is no gateway, so that its address is free for a container.
		a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "lan", IPv4: netip.MustParseAddr("198.51.100.129")}}})
		a.fails(far + ":80")
		a.do(func() error {
			routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
			if err != nil || len(routes) != 1 {
				t.Errorf("routes: %v, %v", routes, err)
			}
			return nil
		})
	})
}

func TestMACOfAContainer(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	h.outside()
	h.network(lan(definition.Macvlan, "lan0"))
	a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "lan", MAC: "02:42:ac:11:65:43", Interface: "wan0"}}})
	a.do(func() error {
		l, err := netlink.LinkByName("wan0")
		if err != nil {
			return err
		}
		if got := l.Attrs().HardwareAddr.String(); got != "02:42:ac:11:65:43" || l.Type() != "macvlan" {
			t.Errorf("wan0 is a %s with %s", l.Type(), got)
		}
		return nil
	})
}

func TestMacvlanModes(t *testing.T) {
	for _, mode := range []string{"private", "vepa"} {
		t.Run(mode, func(t *testing.T) {
			h := newHost(t)
			harness.LinkKind(t, definition.Macvlan)
			o := h.wire()
			o.greet(80, "outside")
			h.network(lanWith(lan(definition.Macvlan, "lan0"), definition.OptMacvlanMode, mode))
			a, b := h.box("a", "lan"), h.box("b", "lan")
			a.greet(81, "a")
			b.wants(outsideAddr+":80", "outside "+b.addr4().String())
			b.fails(at(a.addr4(), 81)) // no switch here sends a frame back
		})
	}
}

func TestPassthru(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	o := h.wire()
	o.greet(80, "outside")
	h.network(lanWith(lan(definition.Macvlan, "lan0"), definition.OptMacvlanMode, definition.Passthru))
	a := h.box("a", "lan")
	parent, err := netlink.LinkByName("lan0")
	if err != nil {
		t.Fatal(err)
	}
	mac := parent.Attrs().HardwareAddr.String()
	a.do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil && l.Attrs().HardwareAddr.String() != mac {
			t.Errorf("a has %s, its parent %s", l.Attrs().HardwareAddr, mac)
		}
		return err
	})
	a.wants(outsideAddr+":80", "outside "+a.addr4().String())
	_, err = h.Setup(t.Context(), SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "lan"}}})
	wrong(t, err, errdefs.ErrConflict, "room for one container")
	if err := h.Teardown(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	b := h.setup(SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "lan", MAC: "02:42:ac:11:65:43"}}})
	b.wants(outsideAddr+":80", "outside "+b.addr4().String())
	if err := h.Teardown(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if parent, err = netlink.LinkByName("lan0"); err != nil || parent.Attrs().HardwareAddr.String() != mac {
		t.Errorf("the parent has %s, had %s: %v", parent.Attrs().HardwareAddr, mac, err)
	}
}

func TestParentRefused(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	h.outside()
	h.network(lanWith(lan(definition.Macvlan, "lan0")))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "port0"
	br := h.network(Config{ID: "bridge", Pools: pool("10.77.0.0/24")})
	bridge, err := netlink.LinkByName(br.Link)
	if err != nil {
		t.Fatal(err)
	}
	attrs.MasterIndex = bridge.Attrs().Index
	port := netlink.NewVeth(attrs)
	port.PeerName = "port1"
	if err := netlink.LinkAdd(port); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(port) })
	pools := pool("10.78.0.0/24")
	for _, c := range []struct {
		c     Config
		kind  error
		words string
	}{
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "eth7"}}, errdefs.ErrNotFound, "parent eth7 is no link of this host"},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "eth7.10"}}, errdefs.ErrNotFound, "VLAN 10 of eth7, which is no link"},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "lan0.4095"}}, errdefs.ErrNotFound, "from 1 to 4094"},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "lo"}}, errdefs.ErrInvalidArgument, "lo"},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "port0"}}, errdefs.ErrConflict, "a port of bridge " + br.Link},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "lan0", definition.OptMacvlanMode: "mesh"}}, errdefs.ErrInvalidArgument, "bridge, private, vepa or passthru"},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "lan0", definition.OptMacvlanMode: definition.Passthru}}, errdefs.ErrConflict, `network "lan" has the parent lan0`},
		{Config{ID: "m", Driver: definition.Macvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{definition.OptParent: "a/b"}}, errdefs.ErrInvalidArgument, "1 to 15 characters"},
		{Config{ID: "m", Driver: definition.IPvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{"ipvlan_mode": "l4"}}, errdefs.ErrInvalidArgument, "l2, l3 or l3s"},
		{Config{ID: "m", Driver: definition.IPvlan, IPv4: true, Pools: pools, DriverOpts: map[string]string{"ipvlan_flag": "x"}}, errdefs.ErrInvalidArgument, "bridge, private or vepa"},
	} {
		wrong(t, h.CheckNetwork(t.Context(), c.c), c.kind, c.words)
		_, err := h.Create(t.Context(), c.c)
		wrong(t, err, c.kind, "cannot create network", c.words)
	}
	if nets, err := h.List(t.Context()); err != nil || len(nets) != 2 {
		t.Errorf("%v, %v", nets, err)
	}
}

func TestSeveralNetworksOnOneParent(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	h.wire()
	h.network(lan(definition.Macvlan, "lan0"))
	c := lanWith(lan(definition.Macvlan, "lan0"))
	c.ID, c.IPv6, c.Pools = "two", false, pool("10.78.0.0/24")
	h.network(c)
	if err := h.Delete(t.Context(), "lan"); err != nil {
		t.Fatal(err)
	}
	if st, err := h.List(t.Context()); err != nil || len(st) != 1 || !st[0].Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	c.ID, c.Driver, c.Pools = "three", definition.IPvlan, pool("10.79.0.0/24")
	_, err := h.Create(t.Context(), c)
	wrong(t, err, errdefs.ErrConflict, `network "two"`, "of driver macvlan")
}

// A container on a bridge and on the wire: gw_priority says which one its default route and its ports are by.
func TestGatewayOfSeveralDrivers(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	o := h.wire()
	o.greet(80, "outside")
	h.network(lan(definition.Macvlan, "lan0"))
	h.network(Config{ID: "bridge", Pools: pool("10.77.0.0/24")})
	h.network(Config{ID: "other", Driver: definition.Macvlan, DriverOpts: map[string]string{definition.OptParent: "lan0"}, Pools: pool("10.78.0.0/24")})
	port := []Port{{ContainerPort: 81, Protocol: "tcp"}}
	a := h.setup(SandboxConfig{ContainerID: "a", Ports: port, Endpoints: []EndpointConfig{{Network: "bridge"}, {Network: "lan", GwPriority: 1}}})
	a.wants(far+":80", "outside "+a.Endpoints[1].Addr4.Addr().String())
	if len(a.Ports) != 0 {
		t.Errorf("%v are published, whose answers leave by the wire", a.Ports)
	}
	b := h.setup(SandboxConfig{ContainerID: "b", Ports: port, Endpoints: []EndpointConfig{{Network: "bridge"}, {Network: "other", GwPriority: -1}}})
	b.greet(81, "b")
	if len(b.Ports) != 1 {
		t.Fatalf("ports %v", b.Ports)
	}
	o.wants(fmt.Sprintf("%s:%d", hostAddr, b.Ports[0].HostPort), "b "+outsideAddr)
	gw, err := h.HostGateway(t.Context(), []string{"lan", "bridge"})
	if err != nil || gw.Addr.String() != "10.77.0.1" {
		t.Errorf("the host is %s, %v", gw.Addr, err)
	}
	if gw, err = h.HostGateway(t.Context(), []string{"lan"}); err != nil || gw.Addr.String() != hostAddr {
		t.Errorf("the host is %s, %v", gw.Addr, err)
	}
}

// damage lets f spoil something that a container on the wire needs, and wants it told by words, and mended.
func (h *host) damage(o box, driver, words string, f func(a box) error) {
	h.t.Helper()
	c := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "lan", Names: []string{"a"}}}}
	a := h.setup(c)
	if err := f(a); err != nil {
		h.t.Fatal(err)
	}
	boxes, err := h.Sandboxes(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	nets, err := h.List(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	told := boxes[0].Problem + nets[0].Problem
	if words != told {
		h.t.Errorf("told %q, want %q", told, words)
	}
	if _, err := h.Create(h.t.Context(), nets[0].Config); err != nil {
		h.t.Fatal(err)
	}
	ns := holdNamespace(h.t, a.Path)
	st, err := h.Mend(h.t.Context(), c, ns)
	if err != nil || !st.Healthy {
		h.t.Fatalf("%v, %s", err, st.Problem)
	}
	a.wants(far+":80", "outside "+a.addr4().String())
}

// holdNamespace is a path that leads to the namespace, as that of a process does.
func holdNamespace(t testing.TB, path string) string {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

func TestDamageOnTheWireIsMended(t *testing.T) {
	in := func(f func(l netlink.Link) error) func(a box) error {
		return func(a box) error {
			return netns.Do(a.Path, func() error {
				l, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				return f(l)
			})
		}
	}
	eachChildDriver(t, func(t *testing.T, driver string) {
		for _, x := range []struct {
			name, words string
			f           func(a box) error
		}{
			{"removed", "its interface eth0 is gone", in(netlink.LinkDel)},
			{"down", "its interface eth0 is down", in(netlink.LinkSetDown)},
			{"renamed", "its interface eth0 is gone", in(func(l netlink.Link) error {
				if err := netlink.LinkSetDown(l); err != nil {
					return err
				}
				if err := netlink.LinkSetName(l, "other0"); err != nil {
					return err
				}
				return netlink.LinkSetUp(l)
			})},
			{"address", "its interface eth0 has lost the address 198.51.100.128", in(func(l netlink.Link) error {
				return netlink.AddrDel(l, rtnl.Addr(netip.MustParsePrefix("198.51.100.128/24")))
			})},
			{"route", "its default route by 198.51.100.2 is gone", in(func(l netlink.Link) error {
				return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(outsideAddr)})
			})},
		} {
			t.Run(x.name, func(t *testing.T) {
				h := newHost(t)
				o := h.wire()
				o.greet(80, "outside")
				h.network(lan(driver, "lan0"))
				h.damage(o, driver, x.words, x.f)
			})
		}
	})
}

func TestVLANIsMadeAndRemoved(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	harness.LinkKind(t, "vlan")
	o := h.outside()
	o.do(func() error { return addVLAN("eth0", "eth0.10", 10, "10.78.0.1/24") })
	o.greet(80, "outside")
	c := Config{ID: "lan", Driver: definition.Macvlan, DriverOpts: map[string]string{definition.OptParent: "lan0.10"}, Pools: pool("10.78.0.0/24")}
	h.network(c)
	two := c
	two.ID, two.Pools = "two", pool("10.79.0.0/24")
	h.network(two)
	a := h.box("a", "lan")
	a.wants("10.78.0.1:80", "outside "+a.addr4().String())
	for _, id := range []string{"two", "lan"} {
		if _, err := netlink.LinkByName("lan0.10"); err != nil {
			t.Fatalf("before the last network is gone: %v", err)
		}
		h.Teardown(t.Context(), "a")
		if err := h.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if err := h.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := netlink.LinkByName("lan0.10"); err == nil {
		t.Error("lan0.10 is there after its last network")
	}
}

func addVLAN(base, name string, id int, addr string) error {
	on, err := netlink.LinkByName(base)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = name, on.Attrs().Index
	v := &netlink.Vlan{LinkAttrs: attrs, VlanId: id}
	if err := netlink.LinkAdd(v); err != nil {
		return err
	}
	if err := netlink.AddrAdd(v, rtnl.Addr(netip.MustParsePrefix(addr))); err != nil {
		return err
	}
	return netlink.LinkSetUp(v)
}

func TestVLANOfTheHostStays(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	harness.LinkKind(t, "vlan")
	h.outside()
	if err := addVLAN("lan0", "lan0.10", 10, "10.78.0.9/24"); err != nil {
		t.Fatal(err)
	}
	h.network(Config{ID: "lan", Driver: definition.Macvlan, DriverOpts: map[string]string{definition.OptParent: "lan0.10"}, Pools: pool("10.78.0.0/24")})
	h.remove()
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName("lan0.10")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(l); err != nil {
		t.Fatal(err)
	}
}

// A VLAN that other hands remove takes the containers' interfaces with it; both are made anew.
func TestRemovedParentIsMended(t *testing.T) {
	for _, parent := range []string{"lan0.10", ""} {
		t.Run(parent, func(t *testing.T) {
			h := newHost(t)
			harness.LinkKind(t, definition.Macvlan)
			if harness.LinkKind(t, "dummy"); parent != "" {
				harness.LinkKind(t, "vlan")
			}
			h.outside()
			cfg := Config{ID: "lan", Driver: definition.Macvlan, IPv4: true, DriverOpts: map[string]string{definition.OptParent: parent}, Pools: pool("10.78.0.0/24")}
			st := h.network(cfg)
			eps := []EndpointConfig{{Network: "lan"}}
			a, b := h.setup(SandboxConfig{ContainerID: "a", Endpoints: eps}), h.setup(SandboxConfig{ContainerID: "b", Endpoints: eps})
			a.greet(81, "a")
			l, err := netlink.LinkByName(st.Link)
			if err != nil {
				t.Fatal(err)
			}
			if err := netlink.LinkDel(l); err != nil {
				t.Fatal(err)
			}
			if nets, err := h.List(t.Context()); err != nil || nets[0].Problem != "link "+st.Link+" is gone" {
				t.Errorf("%+v, %v", nets, err)
			}
			if boxes, err := h.Sandboxes(t.Context()); err != nil || boxes[0].Problem != "its interface eth0 is gone" {
				t.Errorf("%+v, %v", boxes, err)
			}
			h.network(cfg)
			for _, x := range []box{a, b} {
				if st, err := h.Mend(t.Context(), SandboxConfig{ContainerID: x.ContainerID, Endpoints: eps}, holdNamespace(t, x.Path)); err != nil || !st.Healthy {
					t.Fatalf("%v, %s", err, st.Problem)
				}
			}
			b.wants(at(a.addr4(), 81), "a "+b.addr4().String())
		})
	}
}

// A parent of the host's that goes is told, and nothing is made in its place; when it comes back, so do the containers.
func TestParentThatGoesAndComesBack(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	plugIn := func() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Flags = "nic0", net.FlagUp
		v := netlink.NewVeth(attrs)
		v.PeerName = "nic1"
		if err := netlink.LinkAdd(v); err != nil {
			t.Fatal(err)
		}
	}
	plugIn()
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("nic0"); err == nil {
			netlink.LinkDel(l)
		}
	})
	cfg := Config{ID: "lan", Driver: definition.Macvlan, IPv4: true, DriverOpts: map[string]string{definition.OptParent: "nic0"}, Pools: pool("10.78.0.0/24")}
	h.network(cfg)
	c := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "lan"}}}
	a := h.setup(c)
	hints, err := h.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName("nic0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(l); err != nil {
		t.Fatal(err)
	}
	if nets, err := h.List(t.Context()); err != nil || nets[0].Problem != "its parent nic0 is gone" || nets[0].Link != "" {
		t.Errorf("%+v, %v", nets, err)
	}
	_, err = h.Create(t.Context(), cfg)
	wrong(t, err, errdefs.ErrNotFound, "parent nic0 is not there")
	plugIn()
	for back := false; !back; { // one of the hints is that the parent is back
		select {
		case <-hints:
		case <-time.After(time.Minute):
			t.Fatal("nobody says that nic0 is back")
		}
		nets, err := h.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		back = nets[0].Healthy
	}
	h.network(cfg)
	if st, err := h.Mend(t.Context(), c, holdNamespace(t, a.Path)); err != nil || !st.Healthy {
		t.Fatalf("%v, %s", err, st.Problem)
	}
}

func TestNoParent(t *testing.T) {
	eachChildDriver(t, func(t *testing.T, driver string) {
		h := newHost(t)
		harness.LinkKind(t, "dummy")
		o := h.outside()
		o.greet(80, "outside")
		st := h.network(Config{ID: "lan", Driver: driver, IPv4: true, IPv6: true})
		a, b := h.box("a", "lan"), h.box("b", "lan")
		a.greet(81, "a")
		b.wants(at(a.addr4(), 81), "a "+b.addr4().String())
		b.wants(at(a.addr6(), 81), "a "+b.addr6().String())
		b.fails(outsideAddr + ":80")
		h.remove()
		if err := h.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := netlink.LinkByName(st.Link); err == nil {
			t.Errorf("%s is there after its network", st.Link)
		}
	})
}

func TestNoParentOnAKernelWithoutDummies(t *testing.T) {
	h := newHost(t)
	dummy := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "dummy0"}}
	if netlink.LinkAdd(dummy) == nil {
		netlink.LinkDel(dummy)
		t.Skip("SKIP: this kernel has dummy links")
	}
	c := Config{ID: "lan", Driver: definition.Macvlan, IPv4: true}
	wrong(t, h.CheckNetwork(t.Context(), c), errdefs.ErrNotSupported, "no links of kind dummy", definition.OptParent)
}

// Above layer 2 there is no gateway: all leaves by the interface, and the parent's side has a route to the containers.
func TestIPvlanL3(t *testing.T) {
	for _, mode := range []string{"l3", "l3s"} {
		t.Run(mode, func(t *testing.T) {
			h := newHost(t)
			harness.LinkKind(t, definition.IPvlan)
			o := h.wire()
			o.greet(80, "outside")
			c := Config{ID: "lan", Driver: definition.IPvlan, DriverOpts: map[string]string{definition.OptParent: "lan0", "ipvlan_mode": mode}, Pools: pool("10.78.0.0/24")}
			h.network(c)
			o.do(func() error { return routeVia("10.78.0.0/24", hostAddr) })
			a, b := h.box("a", "lan"), h.box("b", "lan")
			if a.addr4().String() != "10.78.0.1" || a.Endpoints[0].Gateway4.IsValid() {
				t.Errorf("a has %s, gateway %s", a.addr4(), a.Endpoints[0].Gateway4)
			}
			a.greet(81, "a")
			b.wants(at(a.addr4(), 81), "a "+b.addr4().String())
			a.do(func() error {
				routes, err := netlink.RouteGet(net.ParseIP(far))
				if err != nil || routes[0].Gw != nil {
					t.Errorf("to %s by %v, %v", far, routes, err)
				}
				return nil
			})
			o.wants(at(a.addr4(), 81), "a "+outsideAddr)
		})
	}
}

func TestIPvlanFlags(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.IPvlan)
	o := h.wire()
	o.greet(80, "outside")
	h.network(lanWith(lan(definition.IPvlan, "lan0"), "ipvlan_flag", "private"))
	a, b := h.box("a", "lan"), h.box("b", "lan")
	a.greet(81, "a")
	b.wants(outsideAddr+":80", "outside "+b.addr4().String())
	b.fails(at(a.addr4(), 81))
	c := lanWith(lan(definition.IPvlan, "lan0"))
	c.ID, c.IPv6, c.Pools = "two", false, pool("10.78.0.0/24")
	_, err := h.Create(t.Context(), c)
	wrong(t, err, errdefs.ErrConflict, `network "lan"`, "has one network")
}

// The next daemon finds all of it whole, and what was being removed it removes.
func TestWireIsAdopted(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	o := h.wire()
	o.greet(80, "outside")
	h.network(lan(definition.Macvlan, "lan0"))
	a := h.box("a", "lan")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.start()
	boxes, err := h.Sandboxes(t.Context())
	if err != nil || len(boxes) != 1 || !boxes[0].Healthy {
		t.Fatalf("%+v, %v", boxes, err)
	}
	a.wants(far+":80", "outside "+a.addr4().String())
	if got := a.resolve("a"); len(got) != 2 {
		t.Errorf("a is %v", got)
	}
	_, err = h.Setup(t.Context(), SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "lan", IPv4: a.addr4()}}})
	wrong(t, err, errdefs.ErrConflict, "taken by a")
}

func TestHalfMadeParentIsRemoved(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	harness.LinkKind(t, "dummy")
	h.network(Config{ID: "lan", Driver: definition.Macvlan})
	rec := h.networks.Find("lan").Record()
	rec.Deleting = true
	if err := h.records.PutNetwork(rec); err != nil {
		t.Fatal(err)
	}
	stray := h.names.Dummy(7)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = stray
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.start()
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{rec.Link, stray} {
		if _, err := netlink.LinkByName(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
