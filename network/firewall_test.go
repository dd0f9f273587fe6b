package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	harness "github.com/stackrun/stack/internal/sandbox"
)

// cut expects that to cannot be reached, and that the asker is told so where told.
func (b box) cut(t *testing.T, to string, told bool) {
	t.Helper()
	limit := 2 * time.Second // in which nothing is to come
	if told {
		limit = harness.Patience
	}
	got, err := b.askWithin(limit, to)
	if err == nil {
		t.Errorf("%s can be reached: %q", to, got)
	}
	var timeout net.Error
	if told && errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("nobody refuses %s", to)
	}
}

func TestNetworksAreIsolated(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "one_default"})
	h.network(Config{ID: "two_default"})
	a, b := h.box("a", "one_default"), h.box("b", "two_default")
	b.greet(80, "b")
	a.cut(t, at(b.addr4(), 80), true)
	if in := a.query("udp", "b", 1); in.Rcode == 0 {
		t.Errorf("a name of another network resolves: %v", in)
	}
	// A container on both is the way that the user chose.
	c := h.box("c", "one_default", "two_default")
	if got, err := c.ask(at(b.addr4(), 80)); err != nil || !strings.HasPrefix(got, "b ") {
		t.Errorf("%q, %v", got, err)
	}
	if got := c.resolve("b"); len(got) != 1 {
		t.Errorf("b is %v", got)
	}
}

func TestMasqueradeOutwards(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	out.greet(80, "out")
	h.network(Config{ID: "p_default", IPv4: true, IPv6: true})
	a := h.box("a", "p_default")
	if got, err := a.ask(outsideAddr + ":80"); err != nil || got != "out "+hostAddr {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := a.ask("[" + outsideAddr6 + "]:80"); err != nil || got != "out "+hostAddr6 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOutsideReachesOnlyPublishedPorts(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	h.network(Config{ID: "p_default"})
	web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "p_default"}}, Ports: []Port{
		{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		{HostPort: 8081, ContainerPort: 80, Protocol: "tcp", HostIP: netip.MustParseAddr("127.0.0.1")},
		{HostPort: 8082, ContainerPort: 80, Protocol: "tcp", HostIP: netip.MustParseAddr(hostAddr)},
	}})
	web.greet(80, "web")
	for _, to := range []string{hostAddr + ":8080", hostAddr + ":8082"} {
		if got, err := out.ask(to); err != nil || got != "web "+outsideAddr { // the client's address is seen
			t.Errorf("%s: %q, %v", to, got, err)
		}
	}
	if got, err := out.ask("[" + hostAddr6 + "]:8080"); err != nil || !strings.HasPrefix(got, "web ") {
		t.Errorf("over IPv6: %q, %v", got, err)
	}
	out.cut(t, hostAddr+":8081", false)
	// A neighbour may route straight to the container.
	out.do(func() error { return routeVia(web.Endpoints[0].Addr4.Masked().String(), hostAddr) })
	out.cut(t, at(web.addr4(), 80), false)
	for _, to := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080", hostAddr + ":8082", hostAddr + ":8080", "[" + hostAddr6 + "]:8080"} {
		if got, err := ask(to); err != nil || !strings.HasPrefix(got, "web ") {
			t.Errorf("from the host, %s: %q, %v", to, got, err)
		}
	}
	if _, err := ask("127.0.0.1:8082"); err == nil {
		t.Error("a port of one address answers on another")
	}
}

func TestHairpinAndOtherNetworksReachPublishedPorts(t *testing.T) {
	h := newHost(t)
	h.outside()
	h.network(Config{ID: "p_default"})
	h.network(Config{ID: "q_default"})
	web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "p_default"}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	web.greet(80, "web")
	for name, from := range map[string]box{"itself": web, "a neighbour": h.box("n", "p_default"), "another network": h.box("q", "q_default")} {
		for _, to := range []string{hostAddr + ":8080", at(web.Endpoints[0].Gateway4, 8080)} {
			if got, err := from.ask(to); err != nil || !strings.HasPrefix(got, "web ") {
				t.Errorf("%s to %s: %q, %v", name, to, got, err)
			}
		}
	}
}

func TestContainersDoNotReachTheHostsLoopback(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "p_default"})
	a := h.box("a", "p_default")
	sock, err := net.ListenPacket("udp", "127.0.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	a.do(func() error { return sendToTheirLoopback(a.Endpoints[0].Gateway4.String(), 7000) })
	onlyFromHost(t, sock, "127.0.0.1:7000")
}

// A port published on 127.0.0.1 is for the host alone, whatever a neighbour sends.
func TestNeighboursDoNotReachLoopbackPorts(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	h.network(Config{ID: "p_default"})
	a := h.setup(SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "p_default"}},
		Ports: []Port{{HostPort: 7000, ContainerPort: 7000, Protocol: "udp", HostIP: netip.MustParseAddr("127.0.0.1")}}})
	var sock net.PacketConn
	a.do(func() (err error) {
		sock, err = net.ListenPacket("udp", ":7000")
		return err
	})
	defer sock.Close()
	out.do(func() error { return sendToTheirLoopback(hostAddr, 7000) })
	onlyFromHost(t, sock, "127.0.0.1:7000")
}

// sendToTheirLoopback sends a datagram to 127.0.0.1 of the machine that is gw.
func sendToTheirLoopback(gw string, port int) error {
	if err := delLoopbackRoute(); err != nil {
		return err
	}
	if err := routeVia("127.0.0.0/8", gw); err != nil {
		return err
	}
	c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	defer c.Close()
	for range 3 { // the first may wait for its neighbour's address
		if _, err := c.Write([]byte("neighbour")); err != nil {
			return err
		}
	}
	// An answer to another datagram says that the first ones have arrived, or never will.
	_, err = net.DialTimeout("tcp", gw+":1", harness.Patience)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		return fmt.Errorf("expected %s to refuse a connection, got %v", gw, err)
	}
	return nil
}

// onlyFromHost expects that the first datagram at sock is the one that the host sends now to at.
func onlyFromHost(t *testing.T, sock net.PacketConn, at string) {
	t.Helper()
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("host")); err != nil {
		t.Fatal(err)
	}
	sock.SetReadDeadline(time.Now().Add(harness.Patience))
	buf := make([]byte, 100)
	n, from, err := sock.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "host" {
		t.Errorf("got %q from %v, %v", buf[:n], from, err)
	}
}

func TestInternalNetwork(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	out.greet(80, "out")
	h.network(Config{ID: "p_back", Internal: true})
	h.network(Config{ID: "p_front"})
	db := h.setup(SandboxConfig{ContainerID: "db", Endpoints: []EndpointConfig{{Network: "p_back", Names: []string{"db"}}},
		Ports: []Port{{HostPort: 5432, ContainerPort: 5432, Protocol: "tcp"}}})
	db.greet(5432, "db")
	api := h.box("api", "p_back", "p_front")
	if got, err := api.ask(at(db.addr4(), 5432)); err != nil || !strings.HasPrefix(got, "db ") {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := api.ask(outsideAddr + ":80"); err != nil || got != "out "+hostAddr {
		t.Errorf("by its other network: %q, %v", got, err)
	}
	db.cut(t, outsideAddr+":80", true)
	if len(db.Ports) != 0 {
		t.Errorf("ports of an internal network are published: %v", db.Ports)
	}
	out.cut(t, hostAddr+":5432", true)
	// A container that may change its routes does not get out either.
	db.do(func() error { return routeVia("0.0.0.0/0", db.Endpoints[0].Gateway4.String()) })
	db.cut(t, outsideAddr+":80", true)
	if in := db.query("udp", "example.com", 1); in.Rcode != 3 {
		t.Errorf("a query went out: %v", in)
	}
	if got := db.resolve("api"); len(got) != 1 || got[0] != api.addr4().String() {
		t.Errorf("api is %v", got)
	}
}

func TestUDPPorts(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	h.network(Config{ID: "p_default"})
	ports := []Port{{HostPort: 5300, ContainerPort: 53, Protocol: "udp"}}
	cfg := SandboxConfig{ContainerID: "ns", Endpoints: []EndpointConfig{{Network: "p_default"}}, Ports: ports}
	ns := h.setup(cfg)
	ns.echo(53)
	if got, err := out.askUDP(hostAddr + ":5300"); err != nil || got != outsideAddr {
		t.Errorf("from outside: %q, %v", got, err)
	}
	for _, to := range []string{"127.0.0.1:5300", "[::1]:5300", hostAddr + ":5300"} {
		if got, err := askUDP(to); err != nil || got == "" {
			t.Errorf("%s: %q, %v", to, got, err)
		}
	}
}

// A client that keeps its socket and keeps sending must find the container that was made anew.
func TestUDPClientFollowsARecreatedContainer(t *testing.T) {
	h := newHost(t)
	h.outside()
	h.network(Config{ID: "p_default"})
	cfg := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "p_default"}},
		Ports: []Port{{HostPort: 5300, ContainerPort: 5300, Protocol: "udp"}}}
	a := h.setup(cfg)
	a.echo(5300)
	c, err := net.Dial("udp", hostAddr+":5300")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func() error {
		c.Write([]byte("?"))
		c.SetReadDeadline(time.Now().Add(harness.Patience))
		_, err := c.Read(make([]byte, 100))
		return err
	}
	if err := say(); err != nil {
		t.Fatal(err)
	}
	if err := h.Teardown(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	cfg.ContainerID = "b"
	b := h.setup(cfg)
	if a.addr4() == b.addr4() {
		t.Fatal("the address was given out again at once")
	}
	b.echo(5300)
	if err := say(); err != nil {
		t.Errorf("after the recreate: %v", err)
	}
}

func TestThousandPorts(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "p_default"})
	cfg := SandboxConfig{ContainerID: "many", Endpoints: []EndpointConfig{{Network: "p_default"}}}
	for i := range 1000 {
		cfg.Ports = append(cfg.Ports, Port{HostPort: uint16(20000 + i), ContainerPort: uint16(20000 + i), Protocol: "tcp"})
	}
	start := time.Now()
	many := h.setup(cfg)
	t.Logf("Setup with 1000 ports: %s", time.Since(start))
	many.greet(20999, "many")
	if got, err := ask("127.0.0.1:20999"); err != nil || !strings.HasPrefix(got, "many") {
		t.Errorf("%q, %v", got, err)
	}
	if boxes, err := h.Sandboxes(t.Context()); err != nil || !boxes[0].Healthy {
		t.Errorf("%v %v", boxes[0].Problem, err)
	}
}

func TestIPv6(t *testing.T) {
	h := newHost(t)
	out := h.outside()
	st := h.network(Config{ID: "p_default", IPv4: true, IPv6: true})
	if len(st.Pools) != 2 || !st.Pools[1].Subnet.Addr().IsPrivate() || st.Pools[1].Subnet.Bits() != 64 {
		t.Fatalf("pools are %v", st.Pools)
	}
	a := h.box("a", "p_default")
	web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "p_default", Names: []string{"web"}}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	web.greet(80, "web")
	to6 := web.Endpoints[0].Addr6.Addr()
	if got, err := a.ask(at(to6, 80)); err != nil || got != "web "+a.Endpoints[0].Addr6.Addr().String() {
		t.Errorf("%q, %v", got, err)
	}
	if got := a.resolve("web"); len(got) != 2 {
		t.Errorf("web is %v", got)
	}
	if got, err := out.ask("[" + hostAddr6 + "]:8080"); err != nil || got != "web "+outsideAddr6 {
		t.Errorf("from outside: %q, %v", got, err)
	}
	for _, to := range []string{"[::1]:8080", "127.0.0.1:8080", "[" + hostAddr6 + "]:8080"} {
		if got, err := ask(to); err != nil || !strings.HasPrefix(got, "web ") {
			t.Errorf("%s: %q, %v", to, got, err)
		}
	}
	h.network(Config{ID: "p_six", IPv6: true})
	six := h.box("six", "p_six")
	if six.Endpoints[0].Addr4.IsValid() || !six.Endpoints[0].Addr6.IsValid() {
		t.Errorf("%v", six.Endpoints)
	}
}

// spoof sends a datagram from a source address that the sender does not have to port of to, past the sender's own checks.
func spoof(from, to netip.Addr, port uint16, text string) error {
	domain := unix.AF_INET
	if to.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	udp := binary.BigEndian.AppendUint16(nil, 9999)
	udp = binary.BigEndian.AppendUint16(udp, port)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(text)))
	udp = append(append(udp, 0, 0), text...) // over IPv4 a checksum of 0 is none (RFC 768)
	if to.Is4() {
		head := make([]byte, 20)
		head[0], head[8], head[9] = 0x45, 64, unix.IPPROTO_UDP // the kernel fills in length, id and checksum (raw(7))
		copy(head[12:], from.AsSlice())
		copy(head[16:], to.AsSlice())
		return unix.Sendto(fd, append(head, udp...), 0, &unix.SockaddrInet4{Addr: to.As4()})
	}
	head := make([]byte, 40)
	head[0], head[6], head[7] = 0x60, unix.IPPROTO_UDP, 64
	binary.BigEndian.PutUint16(head[4:], uint16(len(udp)))
	copy(head[8:], from.AsSlice())
	copy(head[24:], to.AsSlice())
	binary.BigEndian.PutUint16(udp[6:], checksum6(from, to, udp))
	return unix.Sendto(fd, append(head, udp...), 0, &unix.SockaddrInet6{Addr: to.As16()})
}

// checksum6 is that of RFC 8200 section 8.1.
func checksum6(from, to netip.Addr, udp []byte) uint16 {
	pseudo := append(from.AsSlice(), to.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(udp)))
	pseudo = append(append(pseudo, 0, 0, 0, unix.IPPROTO_UDP), udp...)
	if len(pseudo)%2 == 1 {
		pseudo = append(pseudo, 0)
	}
	var sum uint32
	for i := 0; i < len(pseudo); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(pseudo[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// A container's packets come from its own networks, or not at all.
func TestContainersDoNotSpeakAsOthers(t *testing.T) {
	h := newHost(t)
	one := h.network(Config{ID: "one_default", IPv4: true, IPv6: true})
	two := h.network(Config{ID: "two_default", IPv4: true, IPv6: true})
	a := h.box("a", "one_default")
	gw4, gw6 := a.Endpoints[0].Gateway4, a.Endpoints[0].Gateway6
	linkLocal := netip.MustParseAddr("fe80::1234")
	for _, c := range []struct {
		to      netip.Addr
		own     netip.Addr
		spoofed []netip.Addr
	}{
		{gw4, a.addr4(), []netip.Addr{netip.MustParseAddr("127.5.5.5"), two.Pools[0].Gateway, two.Pools[0].Gateway.Next(), gw4, netip.MustParseAddr("198.51.100.7")}},
		{gw6, a.Endpoints[0].Addr6.Addr(), []netip.Addr{netip.IPv6Loopback(), two.Pools[1].Gateway.Next(), gw6, netip.MustParseAddr("2001:db8::7")}},
		{gw6, linkLocal, nil},
	} {
		sock, err := net.ListenPacket("udp", net.JoinHostPort(c.to.String(), "7000"))
		if err != nil {
			t.Fatal(err)
		}
		a.do(func() error {
			for _, from := range c.spoofed {
				if err := spoof(from, c.to, 7000, "spoofed"); err != nil {
					return err
				}
			}
			return spoof(c.own, c.to, 7000, "own")
		})
		// One bridge, one queue: what was sent before has come before.
		sock.SetReadDeadline(time.Now().Add(harness.Patience))
		buf := make([]byte, 100)
		if n, from, err := sock.ReadFrom(buf); err != nil || string(buf[:n]) != "own" {
			t.Errorf("%q from %v, %v; expected only what %s sent, in %s", buf[:n], from, err, c.own, one.Pools)
		}
		sock.Close()
	}
}
