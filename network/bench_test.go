package network

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// BenchmarkSandbox is what one container's network costs its `up` and its `down`.
func BenchmarkSandbox(b *testing.B) {
	h := newHost(b)
	h.network(Config{ID: "n"})
	for _, ports := range []int{0, 1} {
		b.Run("ports="+strconv.Itoa(ports), func(b *testing.B) {
			i := 0
			for b.Loop() {
				i++
				c := SandboxConfig{ContainerID: fmt.Sprintf("c%d", i), Endpoints: []EndpointConfig{{Network: "n", Names: []string{"c"}}}}
				for range ports {
					c.Ports = append(c.Ports, Port{HostPort: uint16(10000 + i%20000), ContainerPort: 80, Protocol: "tcp"})
				}
				if _, err := h.Setup(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				if err := h.Teardown(b.Context(), c.ContainerID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNetwork(b *testing.B) {
	h := newHost(b)
	i := 0
	for b.Loop() {
		i++
		id := fmt.Sprintf("n%d", i)
		h.network(Config{ID: id})
		if err := h.Delete(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	h := newHost(b)
	h.network(Config{ID: "n"})
	for i := range 100 {
		h.setup(SandboxConfig{ContainerID: fmt.Sprintf("c%d", i), Endpoints: []EndpointConfig{{Network: "n", Names: []string{"c"}}}})
	}
	for b.Loop() {
		if _, err := h.List(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := h.Sandboxes(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDNS asks from inside one container, through its port 53.
func BenchmarkDNS(b *testing.B) {
	h := newHost(b)
	h.network(Config{ID: "n"})
	a := h.box("a", "n")
	m := new(dns.Msg)
	m.SetQuestion("a.", dns.TypeA)
	query, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	for _, clients := range []int{1, 16} {
		b.Run("clients="+strconv.Itoa(clients), func(b *testing.B) {
			conns := make([]net.Conn, clients)
			for i := range conns {
				a.do(func() (err error) {
					conns[i], err = net.Dial("udp", "127.0.0.11:53")
					return err
				})
				defer conns[i].Close()
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for _, c := range conns {
				wg.Go(func() {
					buf := make([]byte, 512)
					for left.Add(-1) >= 0 {
						if _, err := c.Write(query); err != nil {
							b.Error(err)
							return
						}
						if _, err := c.Read(buf); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
		})
	}
}
