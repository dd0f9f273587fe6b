package dns

import (
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	mdns "github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// crowd is clients that have asked something of s each, query by query in turn, before anybody answers.
func crowd(t *testing.T, s *Sockets, clients, queries int) []*net.UDPConn {
	t.Helper()
	var conns []*net.UDPConn
	for range clients {
		c, err := net.DialUDP("udp4", nil, s.udp.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	for n := range queries {
		for i, c := range conns {
			b := pack(t, []string{"six", "p-svc-7", "nobody"}[i%3], mdns.TypeA, 0)
			b[0], b[1] = byte(i), byte(n)
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	return conns
}

// TestManyAtOnce: each of many clients that ask at once gets the answers to its own questions, and all of them.
func TestManyAtOnce(t *testing.T) {
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	const queries = 20
	conns := crowd(t, s, 6, queries)
	srv := Serve(s, &View{Zones: []*Zone{testZone()}}, func() {})
	defer srv.Close()
	for i, c := range conns {
		seen := map[uint16]bool{}
		buf := make([]byte, maxUDP)
		for range queries {
			if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("client %d has %d answers: %v", i, len(seen), err)
			}
			var m mdns.Msg
			if err := m.Unpack(buf[:n]); err != nil {
				t.Fatal(err)
			}
			seen[m.Id] = true
			want := []int{mdns.RcodeSuccess, mdns.RcodeSuccess, mdns.RcodeNameError}[i%3]
			if int(m.Id>>8) != i || m.Rcode != want || len(m.Answer) != i%3%2 {
				t.Fatalf("client %d is told %v", i, &m)
			}
		}
		if len(seen) != queries {
			t.Errorf("client %d has answers to %d of %d questions", i, len(seen), queries)
		}
	}
}

// TestBatchGrows: all that waits is taken, in more and more at once, and of each it is known where it came from.
func TestBatchGrows(t *testing.T) {
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conns := crowd(t, s, 5, 10)
	b, err := newBatch(s.udp)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for left := 50; left > 0; {
		n, err := b.receive()
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			query, _ := b.query(i)
			if want := netip.MustParseAddrPort(conns[query[0]].LocalAddr().String()); b.from(i) != want {
				t.Errorf("a query is from %v, it was sent from %v", b.from(i), want)
			}
		}
		sizes, left = append(sizes, n), left-n
	}
	if len(sizes) != 6 || sizes[0] != 2 || sizes[3] != maxBatch {
		t.Errorf("batches of %v", sizes)
	}
}

// TestMessageIsTheKernels: the kernel finds one message behind the other only if both have the same size of them, on machines of 32 bits too.
func TestMessageIsTheKernels(t *testing.T) {
	word := unsafe.Alignof(uintptr(0))
	want := (unsafe.Sizeof(unix.Msghdr{}) + unsafe.Sizeof(uint32(0)) + word - 1) / word * word
	if got := unsafe.Sizeof(message{}); got != want {
		t.Errorf("a message has %d bytes, struct mmsghdr has %d", got, want)
	}
	if got, want := unsafe.Offsetof(message{}.size), unsafe.Sizeof(unix.Msghdr{}); got != want {
		t.Errorf("its size is at %d, that of struct mmsghdr at %d", got, want)
	}
}
