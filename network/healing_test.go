package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nf "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/nft"
)

// patient is a network with a container on it that publishes a port, and a process that holds its namespace as a running
// container's does.
type patient struct {
	*host
	t      *testing.T
	bridge string
	web    box
	config SandboxConfig
	proc   string // /proc/PID/ns/net
	other  box    // a neighbour
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	h := newHost(t)
	p := &patient{host: h, t: t, bridge: h.network(Config{ID: "n", IPv4: true, IPv6: true}).Bridge}
	p.config = SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "n", Names: []string{"web"}}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}
	p.web = h.setup(p.config)
	p.web.greet(80, "web")
	p.other = h.box("other", "n")
	cmd := exec.Command("sleep", "1000")
	p.web.do(cmd.Start) // it is born in the namespace of the thread that forks
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p.proc = fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)
	return p
}

// problems are those of the network and of the sandbox.
func (p *patient) problems() (string, string) {
	p.t.Helper()
	nets, err := p.List(p.t.Context())
	if err != nil || len(nets) != 1 {
		p.t.Fatalf("networks: %+v, %v", nets, err)
	}
	boxes, err := p.Sandboxes(p.t.Context())
	if err != nil || len(boxes) != 2 {
		p.t.Fatalf("sandboxes: %+v, %v", boxes, err)
	}
	if nets[0].Healthy != (nets[0].Problem == "") || boxes[1].Healthy != (boxes[1].Problem == "") {
		p.t.Errorf("%+v %+v", nets[0], boxes[1])
	}
	return nets[0].Problem, boxes[1].Problem
}

// works tries everything that the network is for.
func (p *patient) works() {
	p.t.Helper()
	for _, at := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		if got, err := ask(at); err != nil || !strings.HasPrefix(got, "web ") {
			p.t.Errorf("%s: %q, %v", at, got, err)
		}
	}
	ep := p.web.Endpoints[0]
	for _, a := range []netip.Addr{ep.Addr4.Addr(), ep.Addr6.Addr()} {
		if got, err := p.other.ask(netip.AddrPortFrom(a, 80).String()); err != nil || !strings.HasPrefix(got, "web ") {
			p.t.Errorf("the neighbour at %s: %q, %v", a, got, err)
		}
	}
	if got := p.web.resolve("other"); len(got) != 2 {
		p.t.Errorf("other is %v", got)
	}
	if got, err := p.web.ask(net.JoinHostPort(ep.Gateway4.String(), "8080")); err != nil || !strings.HasPrefix(got, "web ") {
		p.t.Errorf("by its own published port: %q, %v", got, err)
	}
}

func (p *patient) mend() {
	p.t.Helper()
	ctx := p.t.Context()
	if _, err := p.Create(ctx, Config{ID: "n", IPv4: true, IPv6: true}); err != nil {
		p.t.Fatal(err)
	}
	for _, b := range []struct {
		c  SandboxConfig
		ns string
	}{{p.config, p.proc}, {SandboxConfig{ContainerID: "other", Endpoints: []EndpointConfig{{Network: "n", Names: []string{"other"}}}}, p.other.Path}} {
		st, err := p.Mend(ctx, b.c, b.ns)
		if err != nil {
			p.t.Fatal(err)
		}
		if !st.Healthy {
			p.t.Errorf("after Mend: %s", st.Problem)
		}
		if b.c.ContainerID == "web" && (st.Endpoints[0].Addr4 != p.web.Endpoints[0].Addr4 || st.Endpoints[0].Addr6 != p.web.Endpoints[0].Addr6) {
			p.t.Errorf("was at %v, is at %v", p.web.Endpoints, st.Endpoints)
		}
	}
}

func (p *patient) inside(f func() error) { p.t.Helper(); p.web.do(f) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	ok(t, err)
	return l
}

// with calls fs with the link of that name, in the namespace of the calling thread.
func with(name string, fs ...func(netlink.Link) error) error {
	for _, f := range fs {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = f(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rename(to string) func(netlink.Link) error {
	return func(l netlink.Link) error { return netlink.LinkSetName(l, to) }
}

// delAddr and delRoutes remove what p's link has, in the namespace of the calling thread.
func delAddr(name string, a netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.AddrDel(l, address(a))
}

func delRoutes(name string, which func(netlink.Route) bool) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	routes, err := netlink.RouteList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if which(r) {
			if err := netlink.RouteDel(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// tables calls f with the firewall's table, in the namespace of the calling thread.
func tables(name string, family nf.TableFamily, f func(c *nf.Conn, t *nf.Table) error) error {
	c, err := nf.New()
	if err != nil {
		return err
	}
	if err := f(c, &nf.Table{Name: name, Family: family}); err != nil {
		return err
	}
	return c.Flush()
}

// shutListener makes the listening socket of this process at a stop to listen, as `ss --kill` does to one of any process.
func shutListener(t *testing.T, at netip.AddrPort) {
	t.Helper()
	for fd := range 4096 {
		listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil || listens == 0 {
			continue
		}
		name, err := unix.Getsockname(fd)
		if in, ok := name.(*unix.SockaddrInet4); err == nil && ok && netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)) == at {
			if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("nobody listens at %s", at)
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
	sysctl := func(name, value string) func() { return func() { p.t.Helper(); ok(p.t, writeSysctl(name, value)) } }
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
		{"lo without its address", func() { p.inside(func() error { return delAddr("lo", loopbackAddr) }) }, "", "lo has lost the address 127.0.0.1"},
		{"DNS table removed", dnsTable(func(c *nf.Conn, table *nf.Table) error { c.DelTable(table); return nil }), "", "port 53 does not lead to its DNS server"},
		{"DNS rule removed", dnsTable(func(c *nf.Conn, table *nf.Table) error {
			rules, err := c.GetRules(table, &nf.Chain{Table: table, Name: "output"})
			if err != nil {
				return err
			}
			return c.DelRule(rules[2])
		}), "", "port 53 does not lead to its DNS server"},
		{"DNS socket destroyed", func() {
			shutListener(p.t, netip.AddrPortFrom(dns.Addr, p.sandboxes["web"].server.Port()))
			// The server hears of it, and not we.
			harness.Eventually(p.t, 5*time.Second, "the server knows", func() bool {
				p.Driver.mu.Lock()
				defer p.Driver.mu.Unlock()
				return p.sandboxes["web"].server.Broken()
			})
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
		}), "its chain guard has 1 rules, written were 2", ""},
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
			case <-time.After(10 * time.Second):
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

// TestMendRefuses what it was not meant for.
func TestMendRefuses(t *testing.T) {
	p := newPatient(t)
	ctx := t.Context()
	if _, err := p.Mend(ctx, p.config, "/proc/self/ns/net"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("the host's own namespace: %v", err)
	}
	if _, err := p.Mend(ctx, p.config, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no namespace at all is success")
	}
	other := p.config
	other.Ports = nil
	if _, err := p.Mend(ctx, other, p.proc); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("another configuration: %v", err)
	}
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
}

// TestMendAfterADaemon: damage that nobody saw is found by the next Driver, and what a running container holds is not lost with a file.
func TestMendAfterADaemon(t *testing.T) {
	p := newPatient(t)
	p.kill()
	ok(t, unix.Unmount(p.web.Path, unix.MNT_DETACH))
	ok(t, os.Remove(p.web.Path))
	ok(t, netlink.LinkSetNoMaster(link(t, p.other.Endpoints[0].HostLink)))
	p.start()
	if _, s := p.problems(); !strings.Contains(s, "its network namespace is gone") {
		t.Errorf("%q", s)
	}
	p.mend()
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
	p.works()

	// All that is left is the namespace: the record goes, and the addresses come from inside.
	p.kill()
	ok(t, unix.Unmount(p.web.Path, unix.MNT_DETACH))
	ok(t, os.Remove(file(p.records.sandboxes, "web")))
	p.start()
	ok(t, p.Settle(t.Context()))
	boxes, err := p.Sandboxes(t.Context())
	if err != nil || len(boxes) != 1 {
		t.Fatalf("%+v, %v", boxes, err)
	}
	st, err := p.Mend(t.Context(), p.config, p.proc)
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	p.web.Sandbox = st
	p.works()
}

// foreignLink makes a link with an address, of nobody's here, in the namespace of the calling thread.
func foreignLink(name string) error {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
		return err
	}
	return with(name, netlink.LinkSetUp, func(l netlink.Link) error {
		return netlink.AddrAdd(l, address(netip.MustParsePrefix("192.0.2.2/24")))
	})
}

// TestContainersOwnRoutes: a container that makes a tunnel its way out is not damaged.
func TestContainersOwnRoutes(t *testing.T) {
	p := newPatient(t)
	p.inside(func() error {
		if err := foreignLink("tun0"); err != nil {
			return err
		}
		if err := delRoutes("eth0", func(r netlink.Route) bool { return r.Gw != nil }); err != nil {
			return err
		}
		return with("tun0", func(l netlink.Link) error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP("192.0.2.1")})
		})
	})
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
	p.mend()
	p.inside(func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, r := range routes {
			if r.Gw != nil && !r.Gw.Equal(net.ParseIP("192.0.2.1")) {
				t.Errorf("Mend has made route %v", r)
			}
		}
		return err
	})
}

// TestQuiet: what other software does on the host is no hint, and neither is nothing.
func TestQuiet(t *testing.T) {
	p := newPatient(t)
	p.problems()
	ctx, cancel := context.WithCancel(t.Context())
	hints, err := p.Watch(ctx)
	ok(t, err)
	marker := func() { ok(t, netlink.LinkSetNoMaster(link(t, p.web.Endpoints[0].HostLink))) }
	ok(t, foreignLink("foreign0"))
	ok(t, with("foreign0", netlink.LinkDel))
	ok(t, tables("foreign", nf.TableFamilyINet, func(c *nf.Conn, table *nf.Table) error { c.AddTable(table); return nil }))
	ok(t, tables("foreign", nf.TableFamilyINet, func(c *nf.Conn, table *nf.Table) error { c.DelTable(table); return nil }))
	dir := t.TempDir()
	ok(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	ok(t, unix.Unmount(dir, 0))
	p.alarm.drain()
	select {
	case <-hints:
		t.Error("a hint for what is not ours")
	default:
	}
	marker()
	<-hints
	cancel()
	harness.Eventually(t, 5*time.Second, "the end of the hints", func() bool {
		select {
		case _, open := <-hints:
			return !open
		default:
			return false
		}
	})
	p.mend()
}

// TestOverflow: when the kernel had to drop notices, everything is looked at.
func TestOverflow(t *testing.T) {
	p := newPatient(t)
	p.problems()
	p.alarm.mu.Lock() // nobody reads
	fd := p.alarm.routes.file
	c, err := fd.SyscallConn()
	ok(t, err)
	ok(t, c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1) }))
	for range 5 {
		ok(t, foreignLink("foreign0"))
		ok(t, with("foreign0", netlink.LinkDel))
	}
	p.inside(func() error { return with("eth0", netlink.LinkSetDown) })
	p.alarm.mu.Unlock()
	if _, s := p.problems(); !strings.Contains(s, "its interface eth0 is down") {
		t.Errorf("%q", s)
	}
	p.mend()
}
