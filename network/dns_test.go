package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	harness "github.com/stackrun/stack/internal/sandbox"
)

func TestNames(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "p_default"})
	h.network(Config{ID: "p_back", Internal: true})
	api := func(n int) box {
		return h.setup(SandboxConfig{ContainerID: fmt.Sprintf("api%d", n), Endpoints: []EndpointConfig{{Network: "p_default",
			Names: []string{fmt.Sprintf("p-api-%d", n), "api", "Alias.Example"}, ShortID: fmt.Sprintf("abcdef00000%d", n)}}})
	}
	a, b := api(1), api(2)
	both := []string{a.addr4().String(), b.addr4().String()}
	slices.Sort(both)
	asker := h.box("asker", "p_default")
	for name, want := range map[string][]string{
		"p-api-1": {a.addr4().String()}, "api": both, "API": both, "alias.example": both, "abcdef000002": {b.addr4().String()},
		"api.p_default": both, "api.": both,
	} {
		if got := asker.resolve(name); !slices.Equal(got, want) {
			t.Errorf("%s is %v; expected %v", name, got, want)
		}
	}
	first := map[string]bool{}
	for range 4 {
		first[asker.query("udp", "api", dns.TypeA).Answer[0].(*dns.A).A.String()] = true
	}
	if len(first) != 2 {
		t.Errorf("always the same address comes first: %v", first)
	}
	for _, typ := range []uint16{dns.TypeAAAA, dns.TypeMX, dns.TypeHTTPS} {
		if in := asker.query("udp", "api", typ); in.Rcode != dns.RcodeSuccess || len(in.Answer) != 0 {
			t.Errorf("type %d of a name that exists: %v", typ, in)
		}
	}
	rev, _ := dns.ReverseAddr(a.addr4().String())
	if in := asker.query("udp", rev, dns.TypePTR); len(in.Answer) != 1 || in.Answer[0].(*dns.PTR).Ptr != "p-api-1.p_default." {
		t.Errorf("%v", in)
	}
	rev, _ = dns.ReverseAddr(a.Endpoints[0].Addr4.Masked().Addr().String())
	if in := asker.query("udp", rev, dns.TypePTR); in.Rcode != dns.RcodeNameError {
		t.Errorf("%v", in)
	}
	if got := asker.query("tcp", "api", dns.TypeA); len(got.Answer) != 2 {
		t.Errorf("over TCP: %v", got)
	}
	if err := h.Teardown(t.Context(), "api1"); err != nil {
		t.Fatal(err)
	}
	if got := asker.resolve("api"); !slices.Equal(got, []string{b.addr4().String()}) {
		t.Errorf("after Teardown api is %v", got)
	}
}

// A container may serve DNS itself, on every address.
func TestPort53IsFree(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	a := h.box("a", "n")
	a.do(func() error {
		u, err := net.ListenPacket("udp", "0.0.0.0:53")
		if err != nil {
			return err
		}
		defer u.Close()
		l, err := net.Listen("tcp", "0.0.0.0:53")
		if err != nil {
			return err
		}
		return l.Close()
	})
	if got := a.resolve("a"); len(got) != 1 {
		t.Errorf("a is %v", got)
	}
}

func TestResolvConf(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	writeResolvConf(t, h, "# host\nnameserver 127.0.0.53\nsearch corp.example lan\noptions edns0\n")
	a := h.box("a", "n")
	if want := "nameserver 127.0.0.11\nsearch corp.example lan\noptions ndots:0\n"; a.ResolvConf != want {
		t.Errorf("got %q", a.ResolvConf)
	}
	b := h.setup(SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n"}}, DNS: Resolver{Search: []string{"x.example"}, Options: []string{"ndots:2", "rotate"}}})
	if want := "nameserver 127.0.0.11\nsearch x.example\noptions ndots:2 rotate\n"; b.ResolvConf != want {
		t.Errorf("got %q", b.ResolvConf)
	}
}

func writeResolvConf(t *testing.T, h *host, s string) {
	t.Helper()
	if err := os.WriteFile(h.roots.Run+"/resolv.conf", []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}

// upstream is a DNS server in from: big.test has 100 addresses, which fit into no UDP packet, what.test says who asks and how,
// any other name does not exist.
func upstream(t *testing.T, from box, silent *atomic.Bool) {
	handler := func(w dns.ResponseWriter, r *dns.Msg) {
		if silent != nil && silent.Load() {
			return
		}
		m := new(dns.Msg)
		m.SetReply(r)
		name := r.Question[0].Name
		switch name {
		case "big.test.":
			for i := range 100 {
				rr, _ := dns.NewRR(fmt.Sprintf("%s 60 IN A 192.0.2.%d", name, i+1))
				m.Answer = append(m.Answer, rr)
			}
			if w.RemoteAddr().Network() == "udp" {
				m.Truncate(512)
			}
		case "what.test.":
			edns := "none"
			if o := r.IsEdns0(); o != nil {
				edns = fmt.Sprint(o.UDPSize(), o.Do())
				m.SetEdns0(1232, o.Do())
			}
			host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{host, w.RemoteAddr().Network(), edns}})
		default:
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	}
	from.do(func() error {
		pc, err := net.ListenPacket("udp", ":53")
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", ":53")
		if err != nil {
			return err
		}
		for _, s := range []*dns.Server{{PacketConn: pc}, {Listener: l}} {
			s.Handler = dns.HandlerFunc(handler)
			up := make(chan struct{})
			s.NotifyStartedFunc = func() { close(up) }
			go s.ActivateAndServe()
			<-up
			t.Cleanup(func() { s.Shutdown() })
		}
		return nil
	})
}

func TestForwarding(t *testing.T) {
	h := newHost(t)
	var silent atomic.Bool
	upstream(t, h.outside(), &silent)
	writeResolvConf(t, h, "nameserver "+outsideAddr+"\n")
	h.network(Config{ID: "n"})
	a := h.box("a", "n")
	txt := func(network string, edns uint16, do bool) string {
		var in *dns.Msg
		a.do(func() error {
			m := new(dns.Msg)
			m.SetQuestion("WHAT.test.", dns.TypeTXT)
			m.Question[0].Name = "what.test."
			if edns > 0 {
				m.SetEdns0(edns, do)
			}
			var err error
			in, _, err = (&dns.Client{Net: network, Timeout: harness.Patience}).Exchange(m, "127.0.0.11:53")
			return err
		})
		if len(in.Answer) != 1 {
			t.Fatalf("%v", in)
		}
		return strings.Join(in.Answer[0].(*dns.TXT).Txt, " ")
	}
	for _, c := range []struct {
		network string
		edns    uint16
		want    string
	}{
		{"udp", 0, hostAddr + " udp none"}, {"udp", 1400, hostAddr + " udp 1400 true"}, {"tcp", 0, hostAddr + " tcp none"},
	} {
		if got := txt(c.network, c.edns, true); got != c.want {
			t.Errorf("got %q, expected %q", got, c.want)
		}
	}
	if in := a.query("udp", "big.test", dns.TypeA); !in.Truncated {
		t.Errorf("100 addresses in 512 bytes: %v", in)
	}
	if in := a.query("tcp", "big.test", dns.TypeA); len(in.Answer) != 100 {
		t.Errorf("%d addresses over TCP", len(in.Answer))
	}
	// With room enough the truncated answer is completed over TCP on the way.
	a.do(func() error {
		m := new(dns.Msg)
		m.SetQuestion("big.test.", dns.TypeA)
		m.SetEdns0(4096, false)
		in, _, err := (&dns.Client{UDPSize: 4096, Timeout: harness.Patience}).Exchange(m, "127.0.0.11:53")
		if err == nil && len(in.Answer) != 100 {
			t.Errorf("%d addresses over UDP with EDNS", len(in.Answer))
		}
		return err
	})
	if in := a.query("udp", "nowhere.test", dns.TypeA); in.Rcode != dns.RcodeNameError {
		t.Errorf("%v", in)
	}
	silent.Store(true)
	if in := a.query("udp", "slow.test", dns.TypeA); in.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", in)
	}
	if got := a.resolve("a"); len(got) != 1 { // own names do not wait for the silent server
		t.Errorf("a is %v", got)
	}
	silent.Store(false)
	// The first server of three does not exist, the second one has no socket.
	b := h.setup(SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n"}}, DNS: Resolver{Servers: []netip.Addr{
		netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr(hostAddr), netip.MustParseAddr(outsideAddr)}}})
	if in := b.query("udp", "what.test", dns.TypeTXT); len(in.Answer) != 1 {
		t.Errorf("%v", in)
	}
}

func TestNoServerIsServfail(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	if in := h.box("a", "n").query("udp", "example.com", dns.TypeA); in.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", in)
	}
}

func TestHostGateway(t *testing.T) {
	h := newHost(t)
	n := h.network(Config{ID: "n"})
	h.network(Config{ID: "inside", Internal: true})
	if e, err := h.HostGateway(t.Context(), []string{"inside", "n"}); err != nil || e.Addr != n.Pools[0].Gateway {
		t.Errorf("%v, %v", e, err)
	}
	if e, err := h.HostGateway(t.Context(), nil); err != nil || !e.Addr.IsLoopback() {
		t.Errorf("%v, %v", e, err)
	}
}

// A container whose questions nobody answers has its own bound of them, and no other container hears of it.
func TestOneContainerLeavesForwardingToOthers(t *testing.T) {
	h := newHost(t)
	var silent atomic.Bool
	silent.Store(true)
	upstream(t, h.outside(), &silent)
	writeResolvConf(t, h, "nameserver "+outsideAddr+"\n")
	h.network(Config{ID: "n"})
	a, b := h.box("a", "n"), h.box("b", "n")
	before := runtime.NumGoroutine()
	a.do(func() error {
		c, err := net.Dial("udp", "127.0.0.11:53")
		if err != nil {
			return err
		}
		defer c.Close()
		m := new(dns.Msg)
		m.SetQuestion("nobody.test.", dns.TypeA)
		query, err := m.Pack()
		if err != nil {
			return err
		}
		// Those beyond the bound are refused at once: with every answer read no datagram is lost on the way.
		buf := make([]byte, 512)
		for i := range 3000 {
			c.SetReadDeadline(time.Now().Add(harness.Patience))
			if _, err := c.Write(query); err != nil {
				return err
			}
			if i < 64 {
				continue
			}
			n, err := c.Read(buf)
			if err != nil {
				return fmt.Errorf("query %d: %w", i, err)
			}
			var in dns.Msg
			if err := in.Unpack(buf[:n]); err != nil || in.Rcode != dns.RcodeServerFailure {
				return fmt.Errorf("%v, %v", in, err)
			}
		}
		if spent := runtime.NumGoroutine() - before; spent > 64*4 {
			t.Errorf("%d goroutines for one container", spent)
		}
		return nil
	})
	silent.Store(false)
	if in := b.query("udp", "what.test", dns.TypeTXT); in.Rcode != dns.RcodeSuccess {
		t.Errorf("another container gets %v", in)
	}
}
