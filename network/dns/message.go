package dns

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Sections and codes of RFC 1035 section 4.1.1 and 3.2.2, RFC 3596, RFC 6891.
const (
	headerLen = 12

	flagQR     = 0x80 // byte 2
	flagAA     = 0x04
	flagTC     = 0x02
	flagRD     = 0x01
	flagRA     = 0x80 // byte 3
	opcodeMask = 0x78

	typeA    = 1
	typePTR  = 12
	typeAAAA = 28
	typeOPT  = 41
	typeANY  = 255
	classIN  = 1

	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4

	// minUDP is what every client takes; maxUDP is what we send at most, whatever it offers.
	minUDP = 512
	maxUDP = 4096

	// ttl in seconds. A container that is made anew has another address at once, so nobody shall
	// remember the old one for long; 1 lets a client use one answer for a burst. (docker says 600.)
	ttl = 1
)

// question is a parsed query. name is lower case, without the trailing dot, in the presentation form without escapes.
type question struct {
	name  []byte
	typ   uint16
	class uint16
	end   int // offset behind the question section
	edns  bool
	udp   int // largest UDP answer that the client takes
}

// parse reads the one question of msg. It returns ok false, and the code to answer with, for what is not one;
// code 0 means that not even an answer is possible. scratch holds the name.
func parse(msg, scratch []byte) (q question, code int, ok bool) {
	if len(msg) < headerLen || msg[2]&flagQR != 0 {
		return q, 0, false
	}
	if msg[2]&opcodeMask != 0 {
		return q, rcodeNotImp, false
	}
	if binary.BigEndian.Uint16(msg[4:]) != 1 || binary.BigEndian.Uint16(msg[6:]) != 0 {
		return q, rcodeFormErr, false
	}
	name, i := scratch[:0], headerLen
	for {
		if i >= len(msg) {
			return q, rcodeFormErr, false
		}
		n := int(msg[i])
		i++
		if n == 0 {
			break
		}
		// A question has nothing before it to point to, so a compression pointer is an error here.
		if n > 63 || i+n > len(msg) || len(name)+n+1 > 255 {
			return q, rcodeFormErr, false
		}
		if len(name) > 0 {
			name = append(name, '.')
		}
		for _, c := range msg[i : i+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			name = append(name, c)
		}
		i += n
	}
	if i+4 > len(msg) {
		return q, rcodeFormErr, false
	}
	q = question{name: name, typ: binary.BigEndian.Uint16(msg[i:]), class: binary.BigEndian.Uint16(msg[i+2:]), end: i + 4, udp: minUDP}
	// OPT is a record of the additional section with the root as its name; with no answer and no
	// authority before it, it comes first, or after other records that are not looked at.
	if r := msg[q.end:]; binary.BigEndian.Uint16(msg[8:]) == 0 && binary.BigEndian.Uint16(msg[10:]) > 0 &&
		len(r) >= 11 && r[0] == 0 && binary.BigEndian.Uint16(r[1:]) == typeOPT {
		q.edns = true
		q.udp = min(max(int(binary.BigEndian.Uint16(r[3:])), minUDP), maxUDP)
	}
	return q, 0, true
}

// reply starts the answer to msg in out: its header and, when q is known, its question.
func reply(out, msg []byte, q *question, code int) []byte {
	end := headerLen
	if q != nil {
		end = q.end
	}
	out = append(out[:0], msg[:end]...)
	out[2] = flagQR | flagAA | msg[2]&(flagRD|opcodeMask)
	out[3] = flagRA | byte(code)
	clear(out[4:headerLen])
	if q != nil {
		out[5] = 1
	}
	return out
}

// address appends an A or AAAA record whose name is the question's.
func address(out []byte, typ uint16, addr []byte) []byte {
	out = append(out, 0xc0, headerLen, byte(typ>>8), byte(typ), 0, classIN, 0, 0, 0, ttl, 0, byte(len(addr)))
	return append(out, addr...)
}

// finish writes the number of answers and the OPT record that RFC 6891 section 7 wants when there was one.
func finish(out []byte, q *question, answers int) []byte {
	binary.BigEndian.PutUint16(out[6:], uint16(answers))
	if q.edns {
		out[11] = 1
		out = append(out, 0, 0, typeOPT, maxUDP>>8, maxUDP&0xff, 0, 0, 0, 0, 0, 0)
	}
	return out
}

const optLen = 11

// pointer appends a PTR record whose target is name.
func pointer(out []byte, name string) []byte {
	out = append(out, 0xc0, headerLen, 0, typePTR, 0, classIN, 0, 0, 0, ttl)
	at := len(out)
	out = append(out, 0, 0)
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			continue
		}
		out = append(out, byte(len(label)))
		out = append(out, label...)
	}
	out = append(out, 0)
	binary.BigEndian.PutUint16(out[at:], uint16(len(out)-at-2))
	return out
}

// reverse reads the address that a name below in-addr.arpa or ip6.arpa means: RFC 1035 section 3.5, RFC 3596 section 2.5.
func reverse(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return a, err == nil && a.Is4()
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		c := rest[62-2*i]
		var v byte
		switch {
		case '0' <= c && c <= '9':
			v = c - '0'
		case 'a' <= c && c <= 'f':
			v = c - 'a' + 10
		default:
			return netip.Addr{}, false
		}
		if i < 31 && rest[61-2*i] != '.' {
			return netip.Addr{}, false
		}
		b[i/2] = b[i/2]<<4 | v
	}
	return netip.AddrFrom16(b), true
}
