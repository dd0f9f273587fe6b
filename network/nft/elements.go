package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// apply is (*nftables.Conn).SetAddElements or SetDeleteElements.
type apply func(*nftables.Set, []nftables.SetElement) error

// A netlink attribute has 16 bits of length: the elements of one message must fit.
const perMessage = 400

func chunked(do apply, s *nftables.Set, elems []nftables.SetElement) error {
	for len(elems) > 0 {
		n := min(perMessage, len(elems))
		if err := do(s, elems[:n]); err != nil {
			return err
		}
		elems = elems[n:]
	}
	return nil
}

func (s *schema) networks(do apply, networks []Network) error {
	var bridges, internal, masq, same []nftables.SetElement
	for _, n := range networks {
		name := ifname(n.Bridge)
		bridges = append(bridges, nftables.SetElement{Key: name})
		same = append(same, nftables.SetElement{Key: append(ifname(n.Bridge), name...)})
		if n.Internal {
			internal = append(internal, nftables.SetElement{Key: name})
		}
		if n.Masquerade && !n.Internal {
			masq = append(masq, nftables.SetElement{Key: name})
		}
	}
	for _, e := range []struct {
		set   *nftables.Set
		elems []nftables.SetElement
	}{{s.bridges, bridges}, {s.internal, internal}, {s.masq, masq}, {s.same, same}} {
		if err := chunked(do, e.set, e.elems); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) forwards(do apply, forwards []Forward) error {
	elems := map[*nftables.Set][]nftables.SetElement{}
	self := map[netip.Addr]bool{}
	for _, f := range forwards {
		if a := f.To.Addr(); !self[a] {
			self[a] = true
			set := s.self6
			if a.Is4() {
				set = s.self4
			}
			elems[set] = append(elems[set], nftables.SetElement{Key: append(a.AsSlice(), a.AsSlice()...)})
		}
		set, key := s.place(f)
		val := append(f.To.Addr().AsSlice(), pad4(be16(f.To.Port()))...)
		elems[set] = append(elems[set], nftables.SetElement{Key: key, Val: val})
	}
	for _, set := range s.sets() { // not the map's order: batches are the same for the same input
		if err := chunked(do, set, elems[set]); err != nil {
			return err
		}
	}
	return nil
}

// place is the map that f belongs into, and its key there.
func (s *schema) place(f Forward) (*nftables.Set, []byte) {
	key := append(pad4([]byte{protoNumber(f.Proto)}), pad4(be16(f.Port))...)
	v4, any := f.To.Addr().Is4(), f.Host.IsUnspecified() || f.Host == netip.Addr{}
	switch {
	case v4 && any:
		return s.fwd4any, key
	case any:
		return s.fwd6any, key
	case v4:
		return s.fwd4, append(f.Host.AsSlice(), key...)
	}
	return s.fwd6, append(f.Host.AsSlice(), key...)
}

func protoNumber(proto string) byte {
	if proto == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
