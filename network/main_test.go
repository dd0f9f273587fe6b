package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/roots"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/rtnl"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// host is a Driver in the test's own namespace, which plays the host.
type host struct {
	*Driver
	t     testing.TB
	roots roots.Roots
}

func newHost(t testing.TB) *host {
	t.Helper()
	harness.Require(t)
	harness.LeavesNothing(t)
	return (&host{t: t}).another()
}

// another is a driver of another instance on the same host.
func (h *host) another() *host {
	h.t.Helper()
	dir := h.t.TempDir()
	o := &host{t: h.t, roots: roots.Roots{State: dir + "/state", Run: dir + "/run"}}
	h.t.Cleanup(o.stop)
	o.start()
	return o
}

func (h *host) start() {
	h.t.Helper()
	d, err := New(context.Background(), Options{Roots: h.roots, ResolvConf: h.roots.Run + "/resolv.conf"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Driver = d
}

// stop removes everything and closes the driver.
func (h *host) stop() {
	if h.Driver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	h.remove()
	if err := h.Close(ctx); err != nil {
		h.t.Error(err)
	}
	h.Driver = nil
}

// remove removes every sandbox and network.
func (h *host) remove() {
	ctx := context.Background()
	boxes, err := h.Sandboxes(ctx)
	if err != nil {
		h.t.Error(err)
	}
	for _, b := range boxes {
		if err := h.Teardown(ctx, b.ContainerID); err != nil {
			h.t.Error(err)
		}
	}
	nets, err := h.List(ctx)
	if err != nil {
		h.t.Error(err)
	}
	for _, n := range nets {
		if err := h.Delete(ctx, n.Config.ID); err != nil {
			h.t.Error(err)
		}
	}
}

func (h *host) network(c Config) State {
	h.t.Helper()
	if !c.IPv6 {
		c.IPv4 = true
	}
	st, err := h.Create(context.Background(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	if !st.Healthy {
		h.t.Fatalf("new network %s: %s", c.ID, st.Problem)
	}
	return st
}

// box is a container: a sandbox in which the test itself opens sockets.
type box struct {
	Sandbox
	t testing.TB
}

func (h *host) box(id string, networks ...string) box {
	h.t.Helper()
	var eps []EndpointConfig
	for _, n := range networks {
		eps = append(eps, EndpointConfig{Network: n, Names: []string{id}})
	}
	return h.setup(SandboxConfig{ContainerID: id, Endpoints: eps})
}

func (h *host) setup(c SandboxConfig) box {
	h.t.Helper()
	s, err := h.Setup(context.Background(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return box{s, h.t}
}

func (b box) addr4() netip.Addr { return b.Endpoints[0].Addr4.Addr() }

// do runs f in the container.
func (b box) do(f func() error) {
	b.t.Helper()
	if err := netns.Do(b.Path, f); err != nil {
		b.t.Fatal(err)
	}
}

// greet serves TCP on port in the container: each client is told name and the address that it was seen by.
func (b box) greet(port uint16, name string) {
	b.t.Helper()
	b.do(func() error { return greet(b.t, net.JoinHostPort("", fmt.Sprint(port)), name) })
}

func greet(t testing.TB, at, name string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s %s", name, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
			c.Close()
		}
	}()
	return nil
}

// ask connects to at from the calling thread's namespace and returns what greet says.
func ask(at string) (string, error) { return askWithin(harness.Patience, at) }

func askWithin(limit time.Duration, at string) (string, error) {
	c, err := net.DialTimeout("tcp", at, limit)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	b, err := io.ReadAll(c)
	return string(b), err
}

func (b box) ask(at string) (string, error) { return b.askWithin(harness.Patience, at) }

func (b box) askWithin(limit time.Duration, at string) (got string, err error) {
	b.t.Helper()
	b.do(func() error {
		got, err = askWithin(limit, at)
		return nil
	})
	return got, err
}

// query asks the container's DNS server over udp or tcp.
func (b box) query(network, name string, typ uint16) *dns.Msg {
	b.t.Helper()
	var in *dns.Msg
	b.do(func() error {
		c := &dns.Client{Net: network, Timeout: harness.Patience, UDPSize: 0}
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), typ)
		var err error
		in, _, err = c.Exchange(m, "127.0.0.11:53")
		return err
	})
	return in
}

// resolve returns what name's A and AAAA records say.
func (b box) resolve(name string) []string {
	b.t.Helper()
	var got []string
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
		for _, rr := range b.query("udp", name, typ).Answer {
			switch rr := rr.(type) {
			case *dns.A:
				got = append(got, rr.A.String())
			case *dns.AAAA:
				got = append(got, rr.AAAA.String())
			}
		}
	}
	slices.Sort(got)
	return got
}

// The host's addresses towards outside, and outside's own. TEST-NET-2 of RFC 5737, RFC 3849.
const (
	hostAddr, hostAddr6       = "198.51.100.1", "2001:db8::1"
	outsideAddr, outsideAddr6 = "198.51.100.2", "2001:db8::2"
)

// outside is another machine on a network of the host's. It has no route to containers.
func (h *host) outside() box {
	h.t.Helper()
	path := h.t.TempDir() + "/ns"
	b := box{Sandbox{Path: path}, h.t}
	err := netns.Make(path, func(fd int) error {
		in, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer in.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Flags = "lan0", net.FlagUp
		veth := netlink.NewVeth(attrs)
		veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(fd)
		if err := h.link.LinkAdd(veth); err != nil {
			return err
		}
		h.t.Cleanup(func() {
			h.t.Helper()
			if err := netns.Unbind(path); err != nil {
				h.t.Error(err)
			}
			if l, err := netlink.LinkByName("lan0"); err == nil {
				netlink.LinkDel(l)
			}
		})
		for _, l := range []struct {
			h     *rtnl.Handle
			name  string
			addrs [2]string
		}{{h.link, "lan0", [2]string{hostAddr + "/24", hostAddr6 + "/64"}}, {in, "eth0", [2]string{outsideAddr + "/24", outsideAddr6 + "/64"}}} {
			link, err := l.h.LinkByName(l.name)
			if err != nil {
				return err
			}
			for _, a := range l.addrs {
				if err := l.h.AddrAdd(link, rtnl.Addr(netip.MustParsePrefix(a))); err != nil {
					return err
				}
			}
			if err := l.h.LinkSetUp(link); err != nil {
				return err
			}
		}
		return in.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// echo answers each datagram on port with the sender's address.
func (b box) echo(port uint16) {
	b.t.Helper()
	b.answers(port, func(from net.Addr) string { return from.(*net.UDPAddr).AddrPort().Addr().Unmap().String() })
}

// answers answers each datagram on port.
func (b box) answers(port uint16, what func(from net.Addr) string) {
	b.t.Helper()
	b.do(func() error {
		c, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		b.t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				c.WriteTo([]byte(what(from)), from)
			}
		}()
		return nil
	})
}

// askUDP sends a datagram and returns the answer.
func askUDP(to string) (string, error) {
	c, err := net.Dial("udp", to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(harness.Patience))
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func (b box) askUDP(to string) (got string, err error) {
	b.t.Helper()
	b.do(func() error {
		got, err = askUDP(to)
		return nil
	})
	return got, err
}

// routeVia and delLoopbackRoute change the routes of the calling thread's namespace, as one with NET_ADMIN could.
func routeVia(dst, gw string) error {
	_, n, err := net.ParseCIDR(dst)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: n, Gw: net.ParseIP(gw)})
}

// delLoopbackRoute lets packets to 127.0.0.0/8 leave the machine.
func delLoopbackRoute() error {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP.IsLoopback() {
			if err := netlink.RouteDel(&r); err != nil {
				return err
			}
		}
	}
	return nil
}
