package dns

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
)

func testZone() *Zone {
	z := NewZone("p_default", []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00::/64")})
	for i := range 300 {
		z.Add(Host{ID: fmt.Sprint(i), Names: []string{fmt.Sprintf("p-svc-%d", i), "svc"},
			Addr4: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})})
	}
	z.Add(Host{ID: "six", Names: []string{"six"}, Addr6: netip.MustParseAddr("fd00::6")})
	return z
}

func pack(t testing.TB, name string, typ, udp uint16) []byte {
	m := new(mdns.Msg)
	m.SetQuestion(mdns.Fqdn(name), typ)
	if udp > 0 {
		m.SetEdns0(udp, true)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswerFitsTheClient(t *testing.T) {
	v := &View{Zones: []*Zone{testZone()}}
	for _, c := range []struct {
		udp       uint16
		limit     int
		max, want int
		tc        bool
	}{
		{0, 0, 512, 30, true}, {100, 0, 512, 30, true}, {1232, 0, 1232, 75, true}, {4096, 0, 4096, 254, true},
		{65535, 0, 4096, 254, true}, {0, 65535, 65535, 300, false}, {1232, 65535, 65535, 300, false},
	} {
		out, what := v.answer(pack(t, "svc", mdns.TypeA, c.udp), nil, c.limit)
		var m mdns.Msg
		if err := m.Unpack(out); err != nil || what != answered {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if len(out) > c.max || len(m.Answer) != c.want || m.Truncated != c.tc || (m.IsEdns0() != nil) != (c.udp > 0) {
			t.Errorf("%+v: %d bytes, %d answers, truncated %v, EDNS %v", c, len(out), len(m.Answer), m.Truncated, m.IsEdns0())
		}
	}
}

func TestReverse(t *testing.T) {
	for _, a := range []string{"10.1.2.3", "fd00::6", "2001:db8:1:2:3:4:5:6"} {
		name, err := mdns.ReverseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := reverse(strings.TrimSuffix(name, ".")); !ok || got.String() != a {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "x.2.3.4.in-addr.arpa", "256.1.1.1.in-addr.arpa",
		"in-addr.arpa", strings.Repeat("f.", 31) + "g.ip6.arpa", strings.Repeat("f.", 31) + "ip6.arpa", strings.Repeat("ff", 31) + "f.ip6.arpa"} {
		if a, ok := reverse(name); ok {
			t.Errorf("%s is %s", name, a)
		}
	}
}

func TestOddQueries(t *testing.T) {
	v := &View{Zones: []*Zone{testZone()}}
	good := pack(t, "six", mdns.TypeAAAA, 0)
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(good)) }
	for name, c := range map[string]struct {
		msg  []byte
		what outcome
		code int
	}{
		"a response":     {change(func(b []byte) []byte { b[2] |= flagQR; return b }), ignored, 0},
		"too short":      {good[:11], ignored, 0},
		"a notify":       {change(func(b []byte) []byte { b[2] |= 4 << 3; return b }), answered, rcodeNotImp},
		"two questions":  {change(func(b []byte) []byte { b[5] = 2; return b }), answered, rcodeFormErr},
		"cut off":        {good[:len(good)-3], answered, rcodeFormErr},
		"a pointer":      {change(func(b []byte) []byte { b[12] = 0xc0; return b }), answered, rcodeFormErr},
		"a label beyond": {change(func(b []byte) []byte { b[12] = 60; return b }), answered, rcodeFormErr},
		"ours":           {good, answered, 0},
		"chaos":          {change(func(b []byte) []byte { b[len(b)-1] = 3; return b }), answered, rcodeNXDomain},
	} {
		out, what := v.answer(c.msg, nil, 0)
		if what != c.what || what == answered && (int(out[3]&15) != c.code || !bytes.Equal(out[:2], c.msg[:2])) {
			t.Errorf("%s: %v %v", name, what, out)
		}
	}
}

// What we accept must mean the same to an independent reader, and so must what we answer.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"svc", "SIX.", "p-svc-7.p_default", "3.0.1.10.in-addr.arpa", "nobody.example", "."} {
		for _, typ := range []uint16{mdns.TypeA, mdns.TypeAAAA, mdns.TypePTR, mdns.TypeANY} {
			f.Add(pack(f, name, typ, 0))
			f.Add(pack(f, name, typ, 1232))
		}
	}
	v := &View{Zones: []*Zone{testZone()}}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > maxQuery {
			return
		}
		for _, limit := range []int{0, tcpAnswer} {
			out, what := v.answer(msg, nil, limit)
			if what == ignored {
				if len(out) != 0 {
					t.Fatal("an answer to nothing")
				}
				continue
			}
			if max := maxUDP; limit == 0 && len(out) > max {
				t.Fatalf("%d bytes", len(out))
			}
			var m mdns.Msg
			if err := m.Unpack(out); err != nil {
				t.Fatalf("%v in %x for %x", err, out, msg)
			}
			if !m.Response || m.Id != uint16(msg[0])<<8|uint16(msg[1]) {
				t.Fatalf("%v", m.MsgHdr)
			}
			var q mdns.Msg
			if m.Rcode == mdns.RcodeSuccess && q.Unpack(msg) == nil && len(q.Question) == 1 {
				for _, rr := range m.Answer {
					if !strings.EqualFold(rr.Header().Name, q.Question[0].Name) {
						t.Fatalf("answered %s for %s", rr.Header().Name, q.Question[0].Name)
					}
				}
			}
		}
	})
}

// FuzzReply: whatever a name server sends, it is taken for an answer only to the question that was asked, and is cut to a message that says so.
func FuzzReply(f *testing.F) {
	for _, name := range []string{"svc.", "a.very.long.name.example.", "."} {
		query := pack(f, name, mdns.TypeA, 1232)
		reply := bytes.Clone(query)
		reply[2] |= flagQR
		f.Add(query, reply)
		f.Add(query, append(bytes.ToUpper(reply), 0xc0, 0x0c, 0, 1))
		f.Add(query, reply[:headerLen])
		f.Add(query, query)
		two := bytes.Clone(reply)
		two[5] = 2 // questions
		f.Add(query, two)
	}
	f.Fuzz(func(t *testing.T, query, reply []byte) {
		if len(query) > maxQuery {
			return
		}
		var scratch [256]byte
		q, _, ok := parse(query, scratch[:])
		if !ok || !answers(reply, query, q.end) {
			return
		}
		goodCode(reply)
		short := cut(bytes.Clone(reply), q.end)
		var asked, m mdns.Msg
		if err := m.Unpack(short); err != nil || !m.Truncated || !m.Response || m.Id != uint16(query[0])<<8|uint16(query[1]) || len(m.Answer)+len(m.Ns)+len(m.Extra) > 0 {
			t.Fatalf("%x to %x: %v, %v", reply, query, m, err)
		}
		if asked.Unpack(query) == nil && (len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, asked.Question[0].Name)) {
			t.Fatalf("%x to %x: %v", reply, query, m.Question)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add("nameserver 127.0.0.53\nsearch a b\noptions edns0 trust-ad\n# x\n;y\ndomain z\n nameserver ::1%lo")
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range parseConfig(strings.NewReader(s)).Servers {
			if !a.IsValid() {
				t.Fatal(a)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	v := &View{Zones: []*Zone{NewZone("other", nil), testZone()}}
	msg, out := pack(b, "p-svc-7", mdns.TypeA, 0), make([]byte, 0, maxUDP)
	b.ReportAllocs()
	for b.Loop() {
		if _, what := v.answer(msg, out, 0); what != answered {
			b.Fatal(what)
		}
	}
}
