package network

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/sysctl"
)

// wrong expects an error of kind that says every one of words.
func wrong(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v; expected it to be %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func pool(subnet string) []Pool { return []Pool{{Subnet: netip.MustParsePrefix(subnet)}} }

func TestStaticAddresses(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n", Pools: pool("10.77.0.0/24")})
	static := func(id, addr string) SandboxConfig {
		return SandboxConfig{ContainerID: id, Endpoints: []EndpointConfig{{Network: "n", Names: []string{id}, IPv4: netip.MustParseAddr(addr)}}}
	}
	a := h.setup(static("a", "10.77.0.9"))
	if a.addr4().String() != "10.77.0.9" {
		t.Errorf("got %s", a.addr4())
	}
	for _, c := range []struct {
		addr  string
		kind  error
		words string
	}{
		{"10.78.0.9", errdefs.ErrInvalidArgument, "outside the network's subnet 10.77.0.0/24"},
		{"10.77.0.9", errdefs.ErrConflict, "taken by a"},
		{"10.77.0.1", errdefs.ErrConflict, "taken by the gateway"},
		{"10.77.0.255", errdefs.ErrInvalidArgument, "not a host address"},
		{"fd00::9", errdefs.ErrInvalidArgument, "outside"},
	} {
		_, err := h.Setup(t.Context(), static("b", c.addr))
		wrong(t, err, c.kind, "cannot set up the network of b", c.addr, c.words)
	}
	_, err := h.Setup(t.Context(), SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "none"}}})
	wrong(t, err, errdefs.ErrNotFound, `network "none"`)
	// Nothing of the failed ones is left, so the address that b would get first is free.
	if got := h.box("b", "n").addr4().String(); got != "10.77.0.2" {
		t.Errorf("b got %s", got)
	}
}

func TestRangeGatewayAndAux(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n", Pools: []Pool{{Subnet: netip.MustParsePrefix("10.77.0.0/24"), Range: netip.MustParsePrefix("10.77.0.128/29"),
		Gateway: netip.MustParseAddr("10.77.0.254"), Aux: []netip.Addr{netip.MustParseAddr("10.77.0.128")}}}})
	a := h.box("a", "n")
	if a.addr4().String() != "10.77.0.129" || a.Endpoints[0].Gateway4.String() != "10.77.0.254" {
		t.Errorf("got %v", a.Endpoints)
	}
}

func TestCreateRefuses(t *testing.T) {
	h := newHost(t)
	h.outside()
	h.network(Config{ID: "n", Pools: pool("10.77.0.0/24")})
	for _, c := range []struct {
		c     Config
		kind  error
		words string
	}{
		{Config{ID: "m", Driver: "overlay", IPv4: true}, errdefs.ErrNotSupported, `driver "overlay"`},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.enable_icc": "false"}}, errdefs.ErrNotSupported, "containers of one network reach each other"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.default_bridge": "maybe"}}, errdefs.ErrInvalidArgument, "expected true or false"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}}, errdefs.ErrNotSupported, "gateway_mode_ipv4 is \"isolated\""},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.gateway_mode_ipv6": "routed"}}, errdefs.ErrNotSupported, "gateway_mode_ipv6"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.inhibit_ipv4": "true"}}, errdefs.ErrNotSupported, "inhibit_ipv4"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.bridge.trusted_host_interfaces": "eth1"}}, errdefs.ErrNotSupported, "trusted_host_interfaces"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.container_iface_prefix": "lan"}}, errdefs.ErrNotSupported, "container_iface_prefix"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.host_ipv4": "198.51.100.1"}}, errdefs.ErrNotSupported, "host_ipv4"},
		{Config{ID: "m", IPv4: true, DriverOpts: map[string]string{"com.docker.network.host_ipv6": "2001:db8::1"}}, errdefs.ErrNotSupported, "host_ipv6"},
		{Config{ID: "m"}, errdefs.ErrInvalidArgument, "both"},
		{Config{ID: "m", IPv4: true, Pools: pool("10.77.0.128/25")}, errdefs.ErrConflict, `overlaps 10.77.0.0/24 of network "n"`},
		{Config{ID: "m", IPv4: true, Pools: pool("198.51.100.0/25")}, errdefs.ErrConflict, "198.51.100.0/24, which this host is on"},
		{Config{ID: "m", IPv4: true, Pools: pool("10.78.0.1/24")}, errdefs.ErrInvalidArgument, "10.78.0.0/24"},
		{Config{ID: "m", IPv4: true, Pools: pool("fd00::/64")}, errdefs.ErrInvalidArgument, "family"},
		{Config{ID: "n", IPv4: true, Pools: pool("10.79.0.0/24")}, errdefs.ErrConflict, "exists with other settings"},
	} {
		_, err := h.Create(t.Context(), c.c)
		wrong(t, err, c.kind, "cannot create network", c.words)
	}
	if nets, err := h.List(t.Context()); err != nil || len(nets) != 1 {
		t.Errorf("%v, %v", nets, err)
	}
}

func TestSubnetsAvoidTheHosts(t *testing.T) {
	h := newHost(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = "vpn0", net.FlagUp
	vpn := &netlink.Bridge{LinkAttrs: attrs} // any kind of link will do
	if err := netlink.LinkAdd(vpn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(vpn) })
	for _, dst := range []string{"10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1"} { // as OpenVPN's redirect-gateway
		_, n, _ := net.ParseCIDR(dst)
		if err := netlink.RouteAdd(&netlink.Route{Dst: n, LinkIndex: vpn.Index, Scope: netlink.SCOPE_LINK}); err != nil {
			t.Fatal(err)
		}
	}
	st := h.network(Config{ID: "n"})
	if !netip.MustParsePrefix("172.28.0.0/15").Contains(st.Pools[0].Gateway) {
		t.Errorf("got %v", st.Pools)
	}
}

func TestCreateAndSetupTwice(t *testing.T) {
	h := newHost(t)
	first := h.network(Config{ID: "n", Labels: map[string]string{"v": "1"}})
	second := h.network(Config{ID: "n", Labels: map[string]string{"v": "2"}})
	if first.Link != second.Link || second.Config.Labels["v"] != "2" {
		t.Errorf("%v, then %v", first, second)
	}
	a, b := h.box("a", "n"), h.box("a", "n")
	if a.addr4() != b.addr4() || a.Endpoints[0].HostLink != b.Endpoints[0].HostLink {
		t.Errorf("a second Setup made %v of %v", b.Endpoints, a.Endpoints)
	}
	wrong(t, h.Delete(t.Context(), "n"), errdefs.ErrConflict, `network "n"`, "used by a")
	for range 2 {
		if err := h.Teardown(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := h.Delete(t.Context(), "n"); err != nil {
			t.Error(err)
		}
	}
	h.network(Config{ID: "n"}) // at once, while the old link may still go
	c := h.box("a", "n")
	c.greet(80, "c")
	if got, err := ask(at(c.addr4(), 80)); err != nil || !strings.HasPrefix(got, "c ") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRepair(t *testing.T) {
	h := newHost(t)
	st := h.network(Config{ID: "n"})
	a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "n"}}, Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	sick := func(what string) {
		t.Helper()
		nets, err := h.List(t.Context())
		boxes, err2 := h.Sandboxes(t.Context())
		if err != nil || err2 != nil || nets[0].Healthy && boxes[0].Healthy {
			t.Errorf("after %s all is said to be well: %v, %v", what, err, err2)
		}
		t.Logf("%s: %q, %q", what, nets[0].Problem, boxes[0].Problem)
	}
	served := false
	repair := func() {
		t.Helper()
		h.network(Config{ID: "n"})
		b := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: a.Endpoints[0].Network}}, Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
		if b.addr4() != a.addr4() {
			t.Errorf("the repair changed %s to %s", a.addr4(), b.addr4())
		}
		if fresh := b.Endpoints[0].HostLink != a.Endpoints[0].HostLink; fresh || !served {
			b.greet(80, "a")
			served = true
		}
		a = b
		if got, err := ask("127.0.0.1:8080"); err != nil || !strings.HasPrefix(got, "a ") {
			t.Errorf("%q, %v", got, err)
		}
	}
	if out, err := exec.Command(harness.Tool(t, "nft"), "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	sick("nft flush ruleset")
	repair()
	br, err := netlink.LinkByName(st.Link)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(br); err != nil {
		t.Fatal(err)
	}
	sick("ip link del of the bridge")
	link := a.Endpoints[0].HostLink
	repair()
	if a.Endpoints[0].HostLink != link {
		t.Error("the container's namespace was made anew, though its processes may run in it")
	}
	if err := netns.Unbind(a.Path); err != nil {
		t.Fatal(err)
	}
	sick("umount of the namespace")
	repair()
}

func TestPortConflictsNameTheOwner(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	port := func(n uint16) Port { return Port{HostPort: n, ContainerPort: 80, Protocol: "tcp"} }
	h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "n", Names: []string{"p-web-1"}}}, Ports: []Port{port(8080)}})
	l, err := net.Listen("tcp4", "127.0.0.1:8081")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = h.CheckPorts(t.Context(), "", []Port{port(8080), port(8081), port(8082), port(8083), port(8083)})
	wrong(t, err, errdefs.ErrConflict, "0.0.0.0:8080/tcp: port is already allocated, to container p-web-1",
		"0.0.0.0:8081/tcp: port is already allocated, to ", "pid "+strconv.Itoa(os.Getpid()), "8083", "twice")
	if strings.Contains(err.Error(), "8082") {
		t.Errorf("%q names a free port", err)
	}
	local := port(8081)
	local.HostIP = netip.MustParseAddr("127.0.0.2")
	if err := h.CheckPorts(t.Context(), "", []Port{local}); err != nil {
		t.Errorf("another address of the port: %v", err)
	}
	other := port(9000)
	other.HostIP = netip.MustParseAddr("192.0.2.77")
	wrong(t, h.CheckPorts(t.Context(), "", []Port{other}), errdefs.ErrInvalidArgument, "no address 192.0.2.77")
	// A port of ours is taken for other programs too.
	if l, err := net.Listen("tcp", ":8080"); err == nil {
		l.Close()
		t.Error("another program could bind a published port")
	}
	_, err = h.Setup(t.Context(), SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n"}}, Ports: []Port{port(8085), port(8081)}})
	wrong(t, err, errdefs.ErrConflict, "8081")
	if err := h.CheckPorts(t.Context(), "", []Port{port(8085)}); err != nil {
		t.Errorf("a failed Setup kept a port: %v", err)
	}
}

func TestEphemeralPortsAndRanges(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	cfg := func(id string) SandboxConfig {
		return SandboxConfig{ContainerID: id, Endpoints: []EndpointConfig{{Network: "n", Names: []string{id}}}, Ports: []Port{
			{ContainerPort: 80, Protocol: "tcp"}, {HostPort: 9000, HostPortEnd: 9001, ContainerPort: 80, Protocol: "tcp"}}}
	}
	a, b := h.setup(cfg("a")), h.setup(cfg("b"))
	if a.Ports[1].HostPort != 9000 || b.Ports[1].HostPort != 9001 || a.Ports[0].HostPort == 0 || a.Ports[0].HostPort == b.Ports[0].HostPort {
		t.Errorf("got %v and %v", a.Ports, b.Ports)
	}
	b.greet(80, "b")
	for _, p := range b.Ports {
		if got, err := ask("127.0.0.1:" + strconv.Itoa(int(p.HostPort))); err != nil || !strings.HasPrefix(got, "b ") {
			t.Errorf("%q, %v", got, err)
		}
	}
	_, err := h.Setup(t.Context(), cfg("c"))
	wrong(t, err, errdefs.ErrConflict, "cannot publish 0.0.0.0:9000-9001/tcp: every port of the range is taken, 9000 by container a, 9001 by container b")
}

func TestSysctlsAreRestored(t *testing.T) {
	h := newHost(t)
	read := func() string {
		b, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
		return strings.TrimSpace(string(b))
	}
	if read() != "0" {
		t.Fatal("the sandbox forwards already")
	}
	h.network(Config{ID: "inside", Internal: true})
	if read() != "0" {
		t.Error("an internal network switched forwarding on")
	}
	h.network(Config{ID: "n"})
	if read() != "1" {
		t.Error("no forwarding")
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.start() // the next daemon knows what the last one changed
	if err := h.Delete(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	if read() != "0" {
		t.Error("forwarding is still on")
	}
}

// TestSysctlsAreRestoredWithoutTheRunRoot: somebody has removed it, and with it the records of the networks. What a predecessor changed in this namespace is put back, and nothing else is.
func TestSysctlsAreRestoredWithoutTheRunRoot(t *testing.T) {
	path := sysctl.Root + sysctl.Forward4
	forwarding := func() string {
		b, _ := os.ReadFile(path)
		return strings.TrimSpace(string(b))
	}
	for name, tt := range map[string]struct {
		between func(h *host)
		want    string
	}{
		"ours":                      {func(*host) {}, "0"},
		"another instance is there": {func(h *host) { h.another().network(Config{ID: "n"}) }, "1"},
		"of another boot": {func(h *host) {
			file := h.roots.InState("sysctls.json")
			b, err := os.ReadFile(file)
			if err != nil || !bytes.Contains(b, []byte(`"epoch":"`)) {
				h.t.Fatalf("%v: %s", err, b)
			}
			if err := os.WriteFile(file, bytes.Replace(b, []byte(`"epoch":"`), []byte(`"epoch":"another`), 1), 0o600); err != nil {
				h.t.Fatal(err)
			}
		}, "1"},
		"torn by a power cut": {func(h *host) {
			if err := os.WriteFile(h.roots.InState("sysctls.json"), nil, 0o600); err != nil {
				h.t.Fatal(err)
			}
		}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			defer os.WriteFile(path, []byte("0"), 0) //nolint:errcheck // it was so before
			h.network(Config{ID: "n"})
			if got := forwarding(); got != "1" {
				t.Fatalf("forwarding is %s", got)
			}
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(h.roots.Run); err != nil {
				t.Fatal(err)
			}
			tt.between(h)
			h.start()
			if got := forwarding(); got != tt.want {
				t.Errorf("forwarding is %s", got)
			}
		})
	}
}

// TestASettingThatCannotBeRecorded: what cannot be put back is not changed, and whoever asked for a network reads which setting that is, and why it is not set.
func TestASettingThatCannotBeRecorded(t *testing.T) {
	h := newHost(t)
	if err := os.Mkdir(h.roots.InState("sysctls.json"), 0o700); err != nil { // nothing takes its place, as on a full disk
		t.Fatal(err)
	}
	_, err := h.Create(t.Context(), Config{ID: "n", IPv4: true})
	if err == nil || !strings.Contains(err.Error(), "cannot set sysctl net.ipv4.ip_forward of the host to 1: that it was 0 has to be on record first") ||
		!strings.Contains(err.Error(), h.roots.InState("sysctls.json")) {
		t.Errorf("it fails with %v", err)
	}
	if b, err := os.ReadFile(sysctl.Root + sysctl.Forward4); err != nil || strings.TrimSpace(string(b)) != "0" {
		t.Errorf("forwarding is %s, %v", b, err)
	}
	h.network(Config{ID: "n"}) // what is left of the attempt is in nobody's way
}

// TestSysctlsThatAnOlderProgramChanged: it had its record below the run root. After a downgrade there may be one of ours too, of an earlier boot.
func TestSysctlsThatAnOlderProgramChanged(t *testing.T) {
	for name, ours := range map[string]func(path string) error{
		"upgrade": os.Remove,
		"upgrade after a downgrade": func(path string) error {
			return os.WriteFile(path, []byte(`{"epoch":"another","changed":{"net/ipv4/ip_forward":{"Old":"1","New":"0"}}}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.network(Config{ID: "n"})
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := h.roots.InRun("network", "sysctls.json")
			if err := errors.Join(ours(h.roots.InState("sysctls.json")), os.WriteFile(before, []byte(`{"net/ipv4/ip_forward":{"Old":"0","New":"1"}}`), 0o600)); err != nil {
				t.Fatal(err)
			}
			h.start()
			if err := h.Delete(t.Context(), "n"); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(sysctl.Root + sysctl.Forward4); err != nil || strings.TrimSpace(string(b)) != "0" {
				t.Errorf("%s, %v", b, err)
			}
			if _, err := os.Stat(before); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its record is there: %v", err)
			}
		})
	}
}

// TestRecordOfSysctlsCutShort: what a daemon that died while it wrote the record has left goes.
func TestRecordOfSysctlsCutShort(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := h.roots.InState(".sysctls.json.tmp-1")
	if err := os.WriteFile(left, []byte(`{"ep`), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

func TestNamespaceSettings(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "n", Interface: "lan", MAC: "02:42:0a:00:00:09"}},
		Sysctls: map[string]string{"net.ipv4.conf.lan.rp_filter": "2", "net.core.somaxconn": "77"}})
	a.do(func() error {
		for path, want := range map[string]string{"net/ipv4/conf/lan/rp_filter": "2", "net/core/somaxconn": "77",
			"net/ipv4/ip_unprivileged_port_start": "0", "net/ipv4/ping_group_range": "0\t2147483647"} {
			b, err := os.ReadFile(sysctl.Root + path)
			if got := strings.TrimSpace(string(b)); err != nil || got != want {
				t.Errorf("%s = %q, %v", path, got, err)
			}
		}
		l, err := net.InterfaceByName("lan")
		if err != nil || l.HardwareAddr.String() != "02:42:0a:00:00:09" {
			t.Errorf("%v, %v", l, err)
		}
		return nil
	})
	for _, key := range []string{"kernel.hostname", "net/../kernel/hostname", "net.ipv4.no_such_thing"} {
		_, err := h.Setup(t.Context(), SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n"}}, Sysctls: map[string]string{key: "1"}})
		if err == nil || !strings.Contains(err.Error(), "cannot set sysctl") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestNoneHasOnlyLo(t *testing.T) {
	h := newHost(t)
	a := h.setup(SandboxConfig{ContainerID: "a"})
	a.do(func() error {
		links, err := net.Interfaces()
		if err != nil || len(links) != 1 || links[0].Flags&net.FlagUp == 0 {
			t.Errorf("%v, %v", links, err)
		}
		return nil
	})
}

func TestDefaultRouteByPriority(t *testing.T) {
	h := newHost(t)
	for _, id := range []string{"a", "b"} {
		h.network(Config{ID: id})
	}
	h.network(Config{ID: "inside", Internal: true})
	c := h.setup(SandboxConfig{ContainerID: "c", Endpoints: []EndpointConfig{
		{Network: "inside", GwPriority: 100}, {Network: "a"}, {Network: "b", GwPriority: 1}}})
	c.do(func() error {
		routes, err := netlink.RouteGet(net.ParseIP("192.0.2.1"))
		if err != nil || !routes[0].Gw.Equal(c.Endpoints[2].Gateway4.AsSlice()) {
			t.Errorf("%v, %v", routes, err)
		}
		return nil
	})
}

// Two daemons with the same pools, at the same time.
func TestInstancesShareAHost(t *testing.T) {
	h := newHost(t)
	g := h.another()
	a, b := h.network(Config{ID: "p_default"}), g.network(Config{ID: "p_default"})
	if a.Link == b.Link || a.Pools[0].Subnet.Overlaps(b.Pools[0].Subnet) {
		t.Errorf("%v and %v", a, b)
	}
	x, y := h.box("x", "p_default"), g.box("y", "p_default")
	y.greet(80, "y")
	x.cut(t, at(y.addr4(), 80), false)
	// The first to go must not switch forwarding off under the other.
	h.remove()
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err != nil || b[0] != '1' {
		t.Errorf("ip_forward is %q, %v", b, err)
	}
	a = h.network(Config{ID: "p_default"})
	_, err := g.Create(t.Context(), Config{ID: "q", IPv4: true, Pools: []Pool{{Subnet: a.Pools[0].Subnet}}})
	wrong(t, err, errdefs.ErrConflict, a.Pools[0].Subnet.String())
}

func TestParallelSetup(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	results := make(chan Sandbox)
	const n = 30
	for i := range n {
		go func() {
			s, err := h.Setup(t.Context(), SandboxConfig{ContainerID: "c" + strconv.Itoa(i), Endpoints: []EndpointConfig{{Network: "n", Names: []string{"svc"}}}})
			if err != nil {
				t.Error(err)
			}
			results <- s
		}()
	}
	seen := map[netip.Prefix]bool{}
	for range n {
		s := <-results
		if len(s.Endpoints) == 0 || seen[s.Endpoints[0].Addr4] {
			t.Errorf("%v", s.Endpoints)
			continue
		}
		seen[s.Endpoints[0].Addr4] = true
	}
	if got := h.box("asker", "n").query("tcp", "svc", 1); len(got.Answer) != n {
		t.Errorf("svc has %d addresses", len(got.Answer))
	}
}
