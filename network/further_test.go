package network

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/rtnl"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// Addresses besides those of the network are there, reachable from its other containers, and mended.
func TestFurtherAddresses(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n", Pools: pool("10.77.0.0/24")})
	c := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "n", LinkLocal: addrs("169.254.8.8", "fe80::8", "57.123.22.11")}}}
	a := h.setup(c)
	a.greet(81, "a")
	b := h.setup(SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n", LinkLocal: addrs("169.254.8.9", "fe80::9", "57.123.22.13")}}})
	b.wants("169.254.8.8:81", "a 169.254.8.9")
	b.wants("57.123.22.11:81", "a 57.123.22.13")
	if got, err := b.ask("[fe80::8%eth0]:81"); err != nil || !strings.HasPrefix(got, "a fe80::") {
		t.Errorf("%q, %v", got, err)
	}
	for _, lost := range []string{"169.254.8.8/16", "fe80::8/64"} {
		if err := netns.Do(a.Path, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.AddrDel(l, rtnl.Addr(netip.MustParsePrefix(lost)))
		}); err != nil {
			t.Fatal(err)
		}
		ip := netip.MustParsePrefix(lost).Addr()
		if boxes, err := h.Sandboxes(t.Context()); err != nil || boxes[0].Problem != fmt.Sprintf("its interface eth0 has lost the address %s", ip) {
			t.Errorf("%v, %v", boxes[0].Problem, err)
		}
		if st, err := h.Mend(t.Context(), c, holdNamespace(t, a.Path)); err != nil || !st.Healthy {
			t.Errorf("%v, %v", st.Problem, err)
		}
	}
	b.wants("169.254.8.8:81", "a 169.254.8.9")
	// With its record lost, the container's own address is found among them.
	ns := holdNamespace(t, a.Path)
	if err := h.records.DropSandbox("a"); err != nil {
		t.Fatal(err)
	}
	h.book.Forget("a")
	if st, err := h.Mend(t.Context(), c, ns); err != nil || st.Endpoints[0].Addr4.Addr() != a.addr4() {
		t.Errorf("%+v, %v", st.Endpoints, err)
	}
}

func TestSysctlsOfAnInterface(t *testing.T) {
	m, err := definition.InterfaceSysctls("net.ipv4.conf.IFNAME.log_martians=1, net.ipv4.conf.IFNAME.rp_filter=2")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	h.network(Config{ID: "n", Pools: pool("10.77.0.0/24")})
	a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "n", Interface: "lan.7", Sysctls: m}}})
	a.do(func() error {
		for name, want := range map[string]string{"log_martians": "1", "rp_filter": "2"} {
			b, err := os.ReadFile("/proc/sys/net/ipv4/conf/lan.7/" + name)
			if got := strings.TrimSpace(string(b)); got != want {
				t.Errorf("%s is %s, want %s: %v", name, got, want, err)
			}
		}
		return nil
	})
}
