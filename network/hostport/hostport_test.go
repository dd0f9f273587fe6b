package hostport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func TestParseHexAddr(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:1F90": "127.0.0.1:8080", "00000000:0050": "0.0.0.0:80",
		"00000000000000000000000001000000:0035": "[::1]:53", "0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
		"B80D0120000000000000000001000000:0001": "[2001:db8::1]:1",
	} {
		if got, ok := parseHexAddr(in); !ok || got.String() != want {
			t.Errorf("%s is %s, %v; expected %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", ":", "0100007F", "0100007F:10000", "01:50", "zz00007F:0050"} {
		if got, ok := parseHexAddr(in); ok {
			t.Errorf("%q is %s", in, got)
		}
	}
}

// TestDescribe: what a program is called and was started with is one line of text, whatever is in it.
func TestDescribe(t *testing.T) {
	dir := t.TempDir() + "/812"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"comm": "py\x1b[31mthon3\n", "cmdline": "python3\x00-c\x00\nimport socket\n\x1b]0;title\x07" + strings.Repeat("x", 90) + "\x00"} {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := "python3 (pid 812: python3 -c  import socket " + strings.Repeat("x", 54) + "…)"
	if got := describe(dir); got != want {
		t.Errorf("got  %q,\nwant %q", got, want)
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add("  sl  local_address\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0\n")
	f.Fuzz(func(t *testing.T, s string) { parseSockets(strings.NewReader(s), true) })
}

func TestReservationKeepsOthersOff(t *testing.T) {
	sandbox.Require(t)
	for _, proto := range []string{"tcp", "udp"} {
		r, err := Reserve(proto, netip.Addr{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if v4, v6 := r.Families(); !v4 || !v6 || r.Port == 0 {
			t.Errorf("%s: %v %v %d", proto, v4, v6, r.Port)
		}
		for _, host := range []string{"127.0.0.1", "::1", "0.0.0.0"} {
			if _, err := Reserve(proto, netip.MustParseAddr(host), r.Port); !errors.Is(err, errdefs.ErrConflict) {
				t.Errorf("%s on %s: %v", proto, host, err)
			}
		}
		if who := Owner(proto, netip.Addr{}, r.Port); !strings.Contains(who, "pid "+strconv.Itoa(os.Getpid())) {
			t.Errorf("%s: the owner is %q", proto, who)
		}
		port := r.Port
		r.Close()
		again, err := Reserve(proto, netip.Addr{}, port)
		if err != nil {
			t.Errorf("after Close: %v", err)
			continue
		}
		again.Close()
	}
}

// A port that is held accepts nobody, before there is somebody to carry connections to, and keeps others off all the same, also when connections of who
// had it before are left.
func TestReservationRefusesUntilItServes(t *testing.T) {
	sandbox.Require(t)
	loopback := netip.MustParseAddr("127.0.0.1")
	old, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := old.Addr().(*net.TCPAddr).AddrPort()
	client, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	left, err := old.Accept()
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	left.Close() // first: TIME-WAIT is on the side of the port
	client.Close()
	for _, port := range []uint16{0, at.Port()} {
		r, err := Reserve("tcp", loopback, port)
		if err != nil {
			t.Fatalf("port %d: %v", port, err)
		}
		at := netip.AddrPortFrom(loopback, r.Port)
		if c, err := net.Dial("tcp4", at.String()); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%v is answered before it is served: %v, %v", at, c, err)
		}
		if _, err := Reserve("tcp", netip.Addr{}, r.Port); !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("%v is reserved twice: %v", at, err)
		}
		if l, err := net.Listen("tcp4", at.String()); err == nil {
			l.Close()
			t.Errorf("somebody else can listen on %v", at)
		}
		if err := r.Serve(netip.AddrPortFrom(loopback, 1), false); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(sockets("tcp"), func(s socket) bool { return s.local == at }) {
			t.Errorf("%v does not listen when it is served", at)
		}
		r.Close()
		again, err := Reserve("tcp", loopback, r.Port)
		if err != nil {
			t.Fatalf("%v after Close: %v", at, err)
		}
		again.Close()
	}
}

// A process that is forked while a port is held has a copy of the socket until its execve: Close frees the port nevertheless.
func TestCloseFreesThePortOfACopy(t *testing.T) {
	sandbox.Require(t)
	for _, tt := range []struct {
		proto string
		held  time.Duration // how long the copy outlives the begin of Close; TCP does not wait for it
	}{{"tcp", time.Hour}, {"udp", 50 * time.Millisecond}} {
		for _, serving := range []bool{false, true} {
			r, err := Reserve(tt.proto, netip.Addr{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if serving {
				if err := r.Serve(netip.MustParseAddrPort("127.0.0.1:1"), false); err != nil {
					t.Fatal(err)
				}
			}
			var sockets []syscall.Conn
			for _, l := range r.tcp {
				sockets = append(sockets, l)
			}
			for _, c := range r.udp {
				sockets = append(sockets, c)
			}
			var copies []int
			hold := func(fd uintptr) {
				dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				copies = append(copies, dup)
			}
			for _, b := range r.bound {
				hold(uintptr(b.fd))
			}
			for _, s := range sockets {
				raw, err := s.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				if err := raw.Control(hold); err != nil {
					t.Fatal(err)
				}
			}
			if len(copies) == 0 {
				t.Fatal("there is no socket")
			}
			for _, dup := range copies {
				drop := sync.OnceFunc(func() { unix.Close(dup) })
				t.Cleanup(drop)
				time.AfterFunc(tt.held, drop)
			}
			r.Close()
			again, err := Reserve(tt.proto, netip.Addr{}, r.Port)
			if err != nil {
				t.Errorf("%s, serving %v: %v", tt.proto, serving, err)
				continue
			}
			again.Close()
		}
	}
}

// The proxy hands on the end of one direction while the other goes on, and a reset where nobody listens.
func TestProxyHalfClose(t *testing.T) {
	sandbox.Require(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Reserve("tcp", netip.MustParseAddr("::1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Serve(l.Addr().(*net.TCPAddr).AddrPort(), false); err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 100)
		n := 0
		for {
			m, err := c.Read(buf[n:])
			n += m
			if err != nil {
				break
			}
		}
		c.Write([]byte("got " + string(buf[:n])))
	}()
	dial := func() *net.TCPConn {
		c, err := net.Dial("tcp", netip.AddrPortFrom(r.Host, r.Port).String())
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.TCPConn)
	}
	c := dial()
	defer c.Close()
	c.Write([]byte("all"))
	c.CloseWrite()
	buf := make([]byte, 100)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "got all" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	l.Close()
	d, err := net.Dial("tcp", netip.AddrPortFrom(r.Host, r.Port).String())
	if err != nil {
		return // the reset came while we connected
	}
	defer d.Close()
	if n, err := d.Read(buf); err == nil {
		t.Errorf("nobody listens, but %q came", buf[:n])
	}
}
