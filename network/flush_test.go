package network

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	harness "github.com/stackrun/stack/internal/sandbox"
)

// The rules of others, that are there while ours are not: none, some that track connections, and some that translate them too.
var foreignRules = map[string]string{
	"alone":             "",
	"beside a filter":   "table inet mine { chain in { type filter hook input priority 0; ct state established accept; }; }\n",
	"beside a firewall": "table inet mine { chain out { type nat hook output priority -90; }; chain in { type filter hook input priority 0; ct state established accept; }; }\n",
}

// reload is what an administrator does that has no rules of ours in /etc/nftables.conf. At the end the host has none.
func reload(t *testing.T, rules string) {
	t.Helper()
	nft := func(input string) {
		t.Helper()
		cmd := exec.Command(harness.Tool(t, "nft"), "-f", "-")
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v: %s", err, out)
		}
	}
	nft("flush ruleset\n" + rules)
	if rules != "" {
		t.Cleanup(func() { nft("delete table inet mine\n") })
	}
}

// begin sends the first packet of a connection to at, and does not wait for an answer.
func begin(t *testing.T, at netip.AddrPort) net.Conn {
	t.Helper()
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	ok(t, err)
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		t.Fatalf("%v: %v", at, err)
	}
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	c, err := net.FileConn(f)
	ok(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// parrot says back, line by line, what it is told by TCP on port in the container. quiet waits until it has no packet under way.
func (b box) parrot(port uint16) (quiet func()) {
	b.t.Helper()
	var mu sync.Mutex
	var conns []*net.TCPConn
	b.do(func() error {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		b.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				conns = append(conns, c.(*net.TCPConn))
				mu.Unlock()
				go func() {
					io.Copy(c, c)
					c.Close()
				}()
			}
		}()
		return nil
	})
	return func() {
		b.t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			raw, err := c.SyscallConn()
			if err != nil {
				b.t.Fatal(err)
			}
			harness.Eventually(b.t, "everything is acknowledged", func() (all bool) {
				raw.Control(func(fd uintptr) {
					n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) // tcp(7)
					all = err == nil && n == 0
				})
				return all
			})
		}
	}
}

// TestFlushHurtsNoConnection: who connects while somebody has taken the firewall's rules away gets to the container when they are back, and the
// connections that were there go on.
func TestFlushHurtsNoConnection(t *testing.T) {
	for name, rules := range foreignRules {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.outside()
			both := Config{ID: "n", IPv4: true, IPv6: true}
			h.network(both)
			web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "n"}},
				Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, {HostPort: 8081, ContainerPort: 81, Protocol: "tcp"}}})
			web.greet(80, "web")
			quiet := web.parrot(81)
			addrs := map[string]netip.AddrPort{}
			for _, at := range []string{"127.0.0.1:8080", hostAddr + ":8080", "[" + hostAddr6 + "]:8080", "[::1]:8080"} {
				addrs[at] = netip.MustParseAddrPort(at)
			}

			old := map[string]net.Conn{}
			for at, ap := range addrs {
				old[at] = begin(t, netip.AddrPortFrom(ap.Addr(), 8081))
				said(t, at+", before", old[at], "before")
			}
			quiet() // what it sent while nobody translates it would be answered by the host, with a reset
			reload(t, rules)
			fresh := map[string]net.Conn{}
			for at, ap := range addrs {
				fresh[at] = begin(t, ap)
				fmt.Fprintln(old[at], "meanwhile")
			}
			_, err := h.Create(t.Context(), both)
			ok(t, err)
			for at := range addrs {
				fresh[at].SetDeadline(time.Now().Add(harness.Patience))
				if got, err := io.ReadAll(fresh[at]); err != nil || !strings.HasPrefix(string(got), "web ") {
					t.Errorf("%s: %q, %v", at, got, err)
				}
				heard(t, at+", that was there", old[at], "meanwhile")
				said(t, at+", that was there", old[at], "after")
			}
		})
	}
}

func said(t *testing.T, who string, c net.Conn, what string) {
	t.Helper()
	fmt.Fprintln(c, what)
	heard(t, who, c, what)
}

func heard(t *testing.T, who string, c net.Conn, what string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(harness.Patience))
	if got, err := bufio.NewReader(io.LimitReader(c, int64(len(what)+1))).ReadString('\n'); err != nil || got != what+"\n" {
		t.Errorf("%s: expected %q, got %q, %v", who, what, got, err)
	}
}

// TestFlushAndUDP: a client that keeps sending finds the container again, although the kernel has tracked its datagrams while nobody forwarded them.
func TestFlushAndUDP(t *testing.T) {
	for name, rules := range foreignRules {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.outside()
			h.network(Config{ID: "n"})
			cfg := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "n"}},
				Ports: []Port{{HostPort: 5300, ContainerPort: 5300, Protocol: "udp"}}}
			a := h.setup(cfg)
			a.answers(5300, func(net.Addr) string { return "here" })
			c, err := net.Dial("udp", hostAddr+":5300")
			ok(t, err)
			defer c.Close()
			send := func() {
				t.Helper()
				_, err := c.Write([]byte("?"))
				ok(t, err)
			}
			reload(t, rules)
			send()
			_, err = h.Create(t.Context(), Config{ID: "n", IPv4: true})
			ok(t, err)
			send()
			c.SetReadDeadline(time.Now().Add(harness.Patience))
			buf := make([]byte, 10)
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != "here" {
				t.Errorf("%q, %v", buf[:n], err)
			}
		})
	}
}
