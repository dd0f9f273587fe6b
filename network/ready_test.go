package network

import (
	"fmt"
	"net"
	"net/netip"
	goruntime "runtime"
	"testing"
	"time"

	harness "github.com/stackrun/stack/internal/sandbox"
)

// The first thing that a container sends, and the first that it is sent, arrive, however busy the machine is: what the kernel leaves to its
// queues is done when Setup returns.
func TestFirstPacketArrives(t *testing.T) {
	h := newHost(t)
	stop := make(chan struct{})
	defer close(stop)
	for range 2 * goruntime.NumCPU() {
		go func() { // keeps the kernel's workers waiting for a processor
			for {
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	here := func(f func() error) {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		id := fmt.Sprint("n", i)
		h.network(Config{ID: id, IPv4: true, IPv6: true})
		a := h.box(id, id)
		ep := a.Endpoints[0]
		for _, c := range []struct {
			from, to netip.Addr
			at, by   func(func() error) // where to and from are
		}{
			{ep.Addr4.Addr(), ep.Gateway4, here, a.do},
			{ep.Addr6.Addr(), ep.Gateway6, here, a.do},
			{netip.MustParseAddr("fe80::1234"), ep.Gateway6, here, a.do},
			{ep.Gateway4, ep.Addr4.Addr(), a.do, here},
			{ep.Gateway6, ep.Addr6.Addr(), a.do, here},
		} {
			var sock net.PacketConn
			c.at(func() (err error) {
				sock, err = net.ListenPacket("udp", netip.AddrPortFrom(c.to, 7000).String())
				return err
			})
			c.by(func() error { return spoof(c.from, c.to, 7000, "first") })
			sock.SetReadDeadline(time.Now().Add(harness.Patience))
			if _, _, err := sock.ReadFrom(make([]byte, 100)); err != nil {
				t.Errorf("%s to %s: %v", c.from, c.to, err)
			}
			sock.Close()
		}
	}
}
