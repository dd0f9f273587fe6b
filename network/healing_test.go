package network

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	nf "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/sysctl"
)

// socketAt is a TCP socket of this process that is bound to at.
func socketAt(t *testing.T, at netip.AddrPort) (fd int) {
	t.Helper()
	for fd := range 4096 {
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || kind != unix.SOCK_STREAM {
			continue
		}
		name, err := unix.Getsockname(fd)
		if in, ok := name.(*unix.SockaddrInet4); err == nil && ok && netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)) == at {
			return fd
		}
	}
	t.Fatalf("nobody is at %s", at)
	return -1
}

// shutListener makes the listening socket of this process at a stop to listen, as `ss --kill` does to one of any process.
func shutListener(t *testing.T, at netip.AddrPort) {
	t.Helper()
	if err := unix.Shutdown(socketAt(t, at), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
}

// listenerAt is where somebody listens at a, an address of IPv4, by TCP in the namespace of the calling thread.
func listenerAt(a netip.Addr) (netip.AddrPort, error) {
	table, err := os.ReadFile("/proc/thread-self/net/tcp") // proc_net_tcp(5)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var addr, port, state uint32
	for line := range strings.Lines(string(table)) {
		if _, err := fmt.Sscanf(line, "%d: %x:%x %s %x", new(int), &addr, &port, new(string), &state); err != nil || state != unix.BPF_TCP_LISTEN {
			continue
		}
		if at := netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, addr))); at == a {
			return netip.AddrPortFrom(at, uint16(port)), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("nobody listens at %s", a)
}

// TestHealing: each piece that other hands take away is named, hinted, and put back while the container runs on.
func TestHealing(t *testing.T) {
	p := newPatient(t)
	veth := p.web.Endpoints[0].HostLink
	ep := p.web.Endpoints[0]
	gateway4 := netip.PrefixFrom(ep.Gateway4, ep.Addr4.Bits())
	gateway6 := netip.PrefixFrom(ep.Gateway6, ep.Addr6.Bits())
	firewall := func(f func(c *nf.Conn, table *nf.Table) error) func() {
		return func() { p.t.Helper(); ok(p.t, tables(nft.TableName(p.instance), nf.TableFamilyINet, f)) }
	}
	dnsTable := func(f func(c *nf.Conn, table *nf.Table) error) func() {
		return func() {
			p.t.Helper()
			p.inside(func() error { return tables(nft.DNSTable, nf.TableFamilyIPv4, f) })
		}
	}
	sysctl := func(name, value string) func() { return func() { p.t.Helper(); ok(p.t, sysctl.Write(name, value)) } }
	drop := []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	for _, c := range []struct {
		name             string
		damage           func()
		network, sandbox string // what is in the problem of each; "" = it has none
	}{
		{"bridge removed", func() { ok(p.t, netlink.LinkDel(link(p.t, p.bridge))) }, "link " + p.bridge + " is gone", "is not on the bridge"},
		{"bridge down", func() { ok(p.t, netlink.LinkSetDown(link(p.t, p.bridge))) }, "link " + p.bridge + " is down", ""},
		{"bridge renamed", func() {
			ok(p.t, netlink.LinkSetDown(link(p.t, p.bridge)))
			ok(p.t, netlink.LinkSetName(link(p.t, p.bridge), "elsewhere"))
		},
			"link " + p.bridge + " is gone", "is not on the bridge"},
		{"bridge address removed", func() { ok(p.t, delAddr(p.bridge, gateway4)) }, "has lost the address " + ep.Gateway4.String(), ""},
		{"bridge IPv6 address removed", func() { ok(p.t, delAddr(p.bridge, gateway6)) }, "has lost the address " + ep.Gateway6.String(), ""},
		{"host route removed", func() { ok(p.t, delRoutes(p.bridge, func(netlink.Route) bool { return true })) }, "the host has no route to " + gateway4.Masked().String(), ""},
		{"veth removed on the host", func() { ok(p.t, netlink.LinkDel(link(p.t, veth))) }, "", `its interface on network "n" is gone`},
		{"veth down on the host", func() { ok(p.t, netlink.LinkSetDown(link(p.t, veth))) }, "", "is down on the host's side"},
		{"veth taken from the bridge", func() { ok(p.t, netlink.LinkSetNoMaster(link(p.t, veth))) }, "", "is not on the bridge"},
		{"veth renamed on the host", func() {
			ok(p.t, netlink.LinkSetDown(link(p.t, veth)))
			ok(p.t, netlink.LinkSetName(link(p.t, veth), "other0"))
		}, "", `its interface on network "n" is gone`},
		{"interface removed inside", func() { p.inside(func() error { return with("eth0", netlink.LinkDel) }) }, "", "is gone"},
		{"interface down inside", func() { p.inside(func() error { return with("eth0", netlink.LinkSetDown) }) }, "", "its interface eth0 is down"},
		{"interface renamed inside", func() {
			p.inside(func() error { return with("eth0", netlink.LinkSetDown, rename("wan0")) })
		}, "", "its interface eth0 is gone"},
		{"address removed inside", func() { p.inside(func() error { return delAddr("eth0", ep.Addr4) }) }, "", "its interface eth0 has lost the address " + ep.Addr4.Addr().String()},
		{"IPv6 address removed inside", func() { p.inside(func() error { return delAddr("eth0", ep.Addr6) }) }, "", "its interface eth0 has lost the address " + ep.Addr6.Addr().String()},
		{"default route removed inside", func() {
			p.inside(func() error { return delRoutes("eth0", func(r netlink.Route) bool { return r.Gw != nil }) })
		}, "", "its default route by " + ep.Gateway4.String() + " is gone"},
		{"all routes removed inside", func() { p.inside(func() error { return delRoutes("eth0", func(netlink.Route) bool { return true }) }) }, "", "its interface eth0 has lost the route to"},
		{"lo down inside", func() { p.inside(func() error { return with("lo", netlink.LinkSetDown) }) }, "", "lo is down"},
		{"lo without its address", func() { p.inside(func() error { return delAddr("lo", netip.MustParsePrefix("127.0.0.1/8")) }) }, "", "lo has lost the address 127.0.0.1"},
		{"DNS table removed", dnsTable(func(c *nf.Conn, table *nf.Table) error { c.DelTable(table); return nil }), "", "port 53 does not lead to its DNS server"},
		{"DNS rule removed", dnsTable(func(c *nf.Conn, table *nf.Table) error {
			rules, err := c.GetRules(table, &nf.Chain{Table: table, Name: "output"})
			if err != nil {
				return err
			}
			return c.DelRule(rules[2])
		}), "", "port 53 does not lead to its DNS server"},
		{"DNS socket destroyed", func() {
			var at netip.AddrPort
			p.inside(func() (err error) { at, err = listenerAt(dns.Addr); return err })
			shutListener(p.t, at)
			// The server hears of it, and tells.
			harness.Eventually(p.t, "the server knows", func() bool { _, s := p.problems(); return s != "" })
		}, "", "its DNS server has lost its socket"},
		{"firewall table removed", firewall(func(c *nf.Conn, table *nf.Table) error { c.DelTable(table); return nil }), "the firewall does not know " + p.bridge, "port 8080/tcp is not forwarded"},
		{"ruleset flushed", func() {
			c, err := nf.New()
			ok(p.t, err)
			c.FlushRuleset()
			ok(p.t, c.Flush())
		}, "the firewall does not know " + p.bridge, "port 8080/tcp is not forwarded"},
		{"firewall table dormant", func() {
			nft := harness.Tool(p.t, "nft") // the library sends no flags
			out, err := exec.Command(nft, "add table inet stack-"+p.instance+" { flags dormant; }").CombinedOutput()
			if err != nil {
				p.t.Errorf("nft: %v: %s", err, out)
			}
		}, "its flags were changed", ""},
		{"firewall chain flushed", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.FlushChain(&nf.Chain{Table: table, Name: "forward"})
			return nil
		}), "its chain forward has 0 rules, written were 7", ""},
		{"firewall chain removed", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.DelChain(&nf.Chain{Table: table, Name: "postrouting"})
			return nil
		}), "its chain postrouting is gone", ""},
		{"firewall rule removed", firewall(func(c *nf.Conn, table *nf.Table) error {
			rules, err := c.GetRules(table, &nf.Chain{Table: table, Name: "guard"})
			if err != nil {
				return err
			}
			return c.DelRule(rules[0])
		}), "its chain guard has 4 rules, written were 5", ""},
		{"firewall rule replaced", firewall(func(c *nf.Conn, table *nf.Table) error {
			chain := &nf.Chain{Table: table, Name: "guard"}
			rules, err := c.GetRules(table, chain)
			if err != nil {
				return err
			}
			c.ReplaceRule(&nf.Rule{Table: table, Chain: chain, Handle: rules[1].Handle, Exprs: []expr.Any{&expr.Counter{}}})
			return nil
		}), "its chain guard is not as written", ""},
		{"firewall rule added", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.InsertRule(&nf.Rule{Table: table, Chain: &nf.Chain{Table: table, Name: "forward"}, Exprs: drop})
			return nil
		}), "its chain forward has 8 rules, written were 7", ""},
		{"firewall chain added", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.AddChain(&nf.Chain{Table: table, Name: "mine"})
			return nil
		}), "it has a chain mine", ""},
		{"bridge taken from the firewall", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.FlushSet(&nf.Set{Table: table, Name: "bridges"})
			return nil
		}), "the firewall does not know " + p.bridge, ""},
		{"entry added to the firewall", firewall(func(c *nf.Conn, table *nf.Table) error {
			name := make([]byte, unix.IFNAMSIZ)
			copy(name, "lo")
			return c.SetAddElements(&nf.Set{Table: table, Name: "internal", KeyType: nf.TypeIFName}, []nf.SetElement{{Key: name}})
		}), "its set internal has an entry that nobody here made", ""},
		{"port taken from the firewall", firewall(func(c *nf.Conn, table *nf.Table) error {
			c.FlushSet(&nf.Set{Table: table, Name: "forward4any"})
			return nil
		}), "", "port 8080/tcp is not forwarded"},
		{"forwarding off", sysctl("net/ipv4/ip_forward", "0"), "sysctl net.ipv4.ip_forward is 0, set was 1", ""},
		{"IPv6 forwarding off", sysctl("net/ipv6/conf/all/forwarding", "0"), "sysctl net.ipv6.conf.all.forwarding is 0, set was 1", ""},
		{"route_localnet off", sysctl("net/ipv4/conf/"+p.bridge+"/route_localnet", "0"), "route_localnet is 0, set was 1", ""},
		{"router advertisements heard", sysctl("net/ipv6/conf/"+p.bridge+"/accept_ra", "1"), "accept_ra is 1, set was 0", ""},
		{"namespace unmounted", func() { ok(p.t, unix.Unmount(p.web.Path, unix.MNT_DETACH)) }, "", "its network namespace is gone"},
		{"namespace unmounted and its file removed", func() { ok(p.t, unix.Unmount(p.web.Path, unix.MNT_DETACH)); ok(p.t, os.Remove(p.web.Path)) }, "", "its network namespace is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t, p.web.t, p.other.t = t, t, t
			if n, s := p.problems(); n != "" || s != "" {
				t.Fatalf("before: %q, %q", n, s)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hints, err := p.Watch(ctx)
			ok(t, err)
			c.damage()
			n, s := p.problems() // at once: the look takes in what happened before
			if !strings.Contains(n, c.network) || (n == "") != (c.network == "") {
				t.Errorf("the network's problem is %q, expected %q", n, c.network)
			}
			if !strings.Contains(s, c.sandbox) || (s == "") != (c.sandbox == "") {
				t.Errorf("the sandbox's problem is %q, expected %q", s, c.sandbox)
			}
			select {
			case <-hints:
			case <-time.After(harness.Patience):
				t.Error("no hint")
			}
			p.mend()
			if n, s := p.problems(); n != "" || s != "" {
				t.Errorf("after: %q, %q", n, s)
			}
			p.works()
			if l, err := netlink.LinkByName("elsewhere"); err == nil {
				netlink.LinkDel(l)
			}
		})
	}
}
