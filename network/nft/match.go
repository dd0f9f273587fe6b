package nft

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers by their 32-bit names: a concatenated key lies in consecutive ones, each part padded to 4 bytes.
const reg0 = unix.NFT_REG32_00

type exprs []expr.Any

func rule(parts ...exprs) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func verdict(k expr.VerdictKind) exprs { return exprs{&expr.Verdict{Kind: k}} }

var (
	accept = verdict(expr.VerdictAccept)
	drop   = verdict(expr.VerdictDrop)
	leave  = verdict(expr.VerdictReturn)
	// A process in a container hears at once that it may not, instead of waiting for a timeout.
	reject = exprs{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
	masq   = exprs{&expr.Masq{}}
)

func nfproto(p byte) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{p}}}
}

func l4proto(p byte) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: []byte{p}}}
}

// inSet matches the interface name of key (iifname, oifname) against s.
func inSet(key expr.MetaKey, s *nftables.Set, not bool) exprs {
	return exprs{&expr.Meta{Key: key, Register: reg0},
		&expr.Lookup{SourceRegister: reg0, SetName: s.Name, SetID: s.ID, Invert: not}}
}

func from(s *nftables.Set) exprs    { return inSet(expr.MetaKeyIIFNAME, s, false) }
func to(s *nftables.Set) exprs      { return inSet(expr.MetaKeyOIFNAME, s, false) }
func outside(s *nftables.Set) exprs { return inSet(expr.MetaKeyOIFNAME, s, true) }

// fromTo matches the pair iifname . oifname; an interface name fills four registers.
func fromTo(s *nftables.Set) exprs {
	return exprs{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg0},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg0 + 4},
		&expr.Lookup{SourceRegister: reg0, SetName: s.Name, SetID: s.ID}}
}

func ctBits(key expr.CtKey, bits uint32) exprs {
	mask := binary.NativeEndian.AppendUint32(nil, bits)
	return exprs{&expr.Ct{Key: key, Register: reg0},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg0, Data: make([]byte, 4)}}
}

var (
	established = ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	translated  = ctBits(expr.CtKeySTATUS, 1<<5) // IPS_DST_NAT, linux/netfilter/nf_conntrack_common.h
)

// addrIn matches the source or destination address of the packet, whose family must have been matched before.
func addrIn(src bool, p netip.Prefix) exprs {
	off, size := addrAt(src, p.Addr().Is4())
	addr := p.Masked().Addr().AsSlice()
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return exprs{&expr.Payload{DestRegister: reg0, Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: size},
		&expr.Bitwise{SourceRegister: reg0, DestRegister: reg0, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: addr}}
}

// addrAt is where an address lies: RFC 791 section 3.1, RFC 8200 section 3.
func addrAt(src, v4 bool) (off, size uint32) {
	switch {
	case v4 && src:
		return 12, 4
	case v4:
		return 16, 4
	case src:
		return 8, 16
	}
	return 24, 16
}

// betweenSame matches the pair saddr . daddr.
func betweenSame(s *nftables.Set, v4 bool) exprs {
	src, size := addrAt(true, v4)
	dst, _ := addrAt(false, v4)
	return exprs{
		&expr.Payload{DestRegister: reg0, Base: expr.PayloadBaseNetworkHeader, Offset: src, Len: size},
		&expr.Payload{DestRegister: reg0 + size/4, Base: expr.PayloadBaseNetworkHeader, Offset: dst, Len: size},
		&expr.Lookup{SourceRegister: reg0, SetName: s.Name, SetID: s.ID},
	}
}

// toLocal matches packets to an address of the host's own.
var toLocal = exprs{&expr.Fib{Register: reg0, ResultADDRTYPE: true, FlagDADDR: true},
	&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)}}

// noWayBack matches packets whose source the routing table does not reach by the interface that they came in by. It does not
// match those from addresses that hosts have before they have one: 0.0.0.0 to a broadcast or a multicast group.
var noWayBack = exprs{&expr.Fib{Register: reg0, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
	&expr.Cmp{Op: expr.CmpOpEq, Register: reg0, Data: make([]byte, 4)}}

// forwardBy looks the packet up in a map of published ports and rewrites its destination.
// Key: [daddr .] l4proto . dport; value: addr . port.
func forwardBy(m *nftables.Set, v4, withAddr bool) exprs {
	reg := uint32(reg0)
	var e exprs
	_, size := addrAt(false, v4)
	if withAddr {
		off, _ := addrAt(false, v4)
		e = append(e, &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: off, Len: size})
		reg += size / 4
	}
	family := uint32(unix.NFPROTO_IPV4)
	if !v4 {
		family = unix.NFPROTO_IPV6
	}
	return append(e,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		&expr.Payload{DestRegister: reg + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg0, DestRegister: reg0, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: reg0, RegProtoMin: reg0 + size/4, Specified: true})
}
