package network

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	nf "github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/rtnl"
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
	p := &patient{host: h, t: t, bridge: h.network(Config{ID: "n", IPv4: true, IPv6: true}).Link}
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
	return netlink.AddrDel(l, rtnl.Addr(a))
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
