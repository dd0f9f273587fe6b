package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/netns"
)

// The wire that lan0 leads to, and the machine on it. TEST-NET-2 and -3 of RFC 5737.
const (
	wireHost    = "198.51.100.1"
	wireMachine = "198.51.100.2"
	wireFar     = "203.0.113.1" // behind the machine, which is the gateway to it
)

// wire is a machine on a network that the host has the link lan0 to.
type wire struct {
	t    *testing.T
	path string
}

// newWire makes it. Whatever looks at what a test leaves comes after.
func newWire(t *testing.T) wire {
	t.Helper()
	sandbox.Require(t)
	w := wire{t, filepath.Join(t.TempDir(), "machine")}
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("lan0"); err == nil {
			netlink.LinkDel(l)
		}
		if err := netns.Unbind(w.path); err != nil {
			t.Error(err)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	must(err)
	defer host.Close()
	must(netns.Make(w.path, func(fd int) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "lan0"
		veth := netlink.NewVeth(attrs)
		veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(fd)
		if err := host.LinkAdd(veth); err != nil {
			return err
		}
		for name, addr := range map[string]string{"lo": wireFar + "/32", "eth0": wireMachine + "/24"} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(l, addressOf(addr)); err != nil {
				return err
			}
			if err := netlink.LinkSetUp(l); err != nil {
				return err
			}
		}
		return nil
	}))
	// Else the host would take an address of its own on it some time later, which those who look at what is left would find.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/lan0/disable_ipv6", []byte("1"), 0); !errors.Is(err, os.ErrNotExist) {
		must(err)
	}
	lan, err := host.LinkByName("lan0")
	must(err)
	must(host.AddrAdd(lan, addressOf(wireHost+"/24")))
	must(host.LinkSetUp(lan))
	w.do(func() error {
		l, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.RemoteAddr) })}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
		return nil
	})
	return w
}

func addressOf(s string) *netlink.Addr {
	p := netip.MustParsePrefix(s)
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}

// do runs f on the machine.
func (w wire) do(f func() error) {
	w.t.Helper()
	if err := netns.Do(w.path, f); err != nil {
		w.t.Fatal(err)
	}
}

// get asks addr for its page, from the machine.
func (w wire) get(addr string) (body string, err error) {
	w.t.Helper()
	w.do(func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", addr+":80", 5*time.Second); err != nil {
			return nil
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(c, "GET / HTTP/1.0\r\n\r\n")
		b, rerr := io.ReadAll(c)
		_, body, _ = strings.Cut(string(b), "\r\n\r\n")
		err = rerr
		return nil
	})
	return body, err
}

// serves waits until the machine gets want from addr.
func (w wire) serves(p *project, addr, want string) {
	w.t.Helper()
	p.eventually(addr+" answers on the wire", func() bool {
		body, err := w.get(addr)
		return err == nil && body == want
	})
}

// onTheWire is a project with two containers on lan0, by driver.
func onTheWire(driver, more string) string {
	return `
services:
  web:
    image: busybox
    hostname: web
    stop_grace_period: 100ms
    command: ` + httpd + `
    networks: {lan: {ipv4_address: 198.51.100.200}}
` + more + `
  peer:
    image: busybox
    stop_grace_period: 100ms
    command: [sleep, infinity]
    networks: {lan: {}, back: {}}
  inner:
    image: busybox
    stop_grace_period: 100ms
    command: [sleep, infinity]
    networks: [back]
networks:
  back: {internal: true}
  lan:
    driver: ` + driver + `
    driver_opts: {parent: lan0}
    ipam:
      config: [{subnet: 198.51.100.0/24, gateway: 198.51.100.2, ip_range: 198.51.100.128/25, aux_addresses: {printer: 198.51.100.129}}]
`
}

// TestContainersOnTheWire: a macvlan or ipvlan network as it is used: with the addresses of the wire, names, other networks beside it, and healing of
// what other hands take away.
func TestContainersOnTheWire(t *testing.T) {
	for _, driver := range []string{"macvlan", "ipvlan"} {
		t.Run(driver, func(t *testing.T) {
			sandbox.Require(t)
			sandbox.LinkKind(t, driver)
			w := newWire(t)
			p := compose(t, "wire", onTheWire(driver, ""))
			p.up()
			w.serves(p, "198.51.100.200", "web\n")
			equal(t, "the page by name", p.sh("peer", "wget -q -O - web"), "web")
			if seen := p.sh("web", "wget -q -O - "+wireFar); !strings.HasPrefix(seen, "198.51.100.200:") {
				t.Errorf("the gateway is reached as %s", seen)
			}
			if route := p.sh("inner", "ip route | grep default || true"); route != "" {
				t.Errorf("who is on the internal network only has the route %s", route)
			}
			if ours := p.sh("peer", "ip -o -4 addr"); !strings.Contains(ours, "198.51.100.128/24") && !strings.Contains(ours, "198.51.100.130/24") {
				t.Errorf("peer has %s", ours)
			}
			out := p.up()
			if strings.Contains(out, "Started") || strings.Contains(out, "Recreate") {
				t.Errorf("nothing was to be done:\n%s", out)
			}
			before := p.runs("web")
			web := p.one("wire-web-1").ID
			if err := netns.Do(p.host.run("netns", web), func() error {
				l, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				return netlink.LinkDel(l)
			}); err != nil {
				t.Fatal(err)
			}
			w.serves(p, "198.51.100.200", "web\n")
			equal(t, "the run of web, whose interface was mended", p.runs("web"), before)
			p.ok("restart", "web")
			w.serves(p, "198.51.100.200", "web\n")
			p.write("compose.yaml", onTheWire(driver, "    environment: {X: '1'}"))
			p.up()
			w.serves(p, "198.51.100.200", "web\n")
			p.ok("down", "--timeout", "0")
			if _, err := netlink.LinkByName("lan0"); err != nil {
				t.Errorf("the host's link: %v", err)
			}
		})
	}
}

// TestWireOutlivesTheDaemon: containers stay on the wire while no daemon is there, and the next one mends what was damaged meanwhile.
func TestWireOutlivesTheDaemon(t *testing.T) {
	sandbox.Require(t)
	sandbox.LinkKind(t, "macvlan")
	w := newWire(t)
	h := ownHost(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "wire", dir: filepath.Join(t.TempDir(), "wire")}
	p.write("compose.yaml", onTheWire("macvlan", ""))
	t.Cleanup(func() {
		p.takeDown()
		p.eventually("the links are gone", func() bool {
			links, err := netlink.LinkList()
			return err == nil && len(links) == 2 // lo and lan0
		})
	})
	p.up()
	w.serves(p, "198.51.100.200", "web\n")
	h.killDaemon(t)
	w.serves(p, "198.51.100.200", "web\n")
	web := below(t, h.run("netns"))
	for _, id := range web {
		if err := netns.Do(h.run("netns", id), func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil || l.Type() != "macvlan" {
				return nil
			}
			return netlink.LinkDel(l)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.get("198.51.100.200"); err == nil {
		t.Fatal("web answers without an interface")
	}
	h.startDaemon(t)
	w.serves(p, "198.51.100.200", "web\n")
}

// TestNetworksOnAParentAreRefused before anything is made, at their place.
func TestNetworksOnAParentAreRefused(t *testing.T) {
	sandbox.Require(t)
	sandbox.LinkKind(t, "macvlan")
	newWire(t)
	for _, c := range []struct {
		name, yaml string
		want       []string
	}{
		{"no such parent", `
services: {a: {image: busybox, networks: [lan]}}
networks:
  lan:
    driver: macvlan
    driver_opts:
      parent: eth7
`, []string{"compose.yaml:7:15", "the parent eth7 is no link of this host", "ip link"}},
		{"mode", `
services: {a: {image: busybox, networks: [lan]}}
networks:
  lan:
    driver: macvlan
    driver_opts: {parent: lan0, macvlan_mode: mesh}
`, []string{"compose.yaml:6:47", "expected bridge, private, vepa or passthru"}},
		{"several in passthru", `
services:
  a: {image: busybox, networks: [lan], scale: 2}
networks:
  lan:
    driver: macvlan
    driver_opts: {parent: lan0, macvlan_mode: passthru}
`, []string{"compose.yaml:7:47", "2 on it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := compose(t, "wirebad", c.yaml)
			p.fails(1, c.want, "up", "-d")
			if len(p.ps()) != 0 {
				t.Error("something was made")
			}
		})
	}
}

// TestPortsOfTheWire: they are not published, which is said at their line; with a bridge that has the default route they are.
func TestPortsOfTheWire(t *testing.T) {
	sandbox.Require(t)
	sandbox.LinkKind(t, "macvlan")
	newWire(t)
	file := `
services:
  web:
    image: busybox
    hostname: web
    command: ` + httpd + `
    ports: ["127.0.0.1:18101:80"]
    networks:
      lan: {gw_priority: %d}
      bridge: {}
networks:
  bridge:
  lan:
    driver: macvlan
    driver_opts: {parent: lan0, a.b: c}
    ipam: {config: [{subnet: 198.51.100.0/24, gateway: 198.51.100.2, ip_range: 198.51.100.128/25}]}
`
	p := compose(t, "wireports", fmt.Sprintf(file, 1))
	r := p.run("up", "-d")
	if r.code != 0 {
		t.Fatal(r)
	}
	for _, want := range []string{"compose.yaml:7:5)", "the default route of service web is by network wireports_lan of driver macvlan", "compose.yaml:15:38)", "a.b"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is not in\n%s", want, r.stderr)
		}
	}
	if _, _, _, err := get("http://127.0.0.1:18101/"); err == nil {
		t.Error("the port is published")
	}
	p.write("compose.yaml", fmt.Sprintf(file, -1))
	r = p.run("up", "-d")
	if r.code != 0 || strings.Contains(r.stderr, "default route") {
		t.Fatal(r)
	}
	p.serves("18101")
}
