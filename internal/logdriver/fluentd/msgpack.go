package fluentd

import (
	"encoding/binary"
	"time"
)

// What of MessagePack is written: https://github.com/msgpack/msgpack/blob/master/spec.md. Lengths have the form of 32 bits, but for short texts: it is shorter to write than to choose.

func appendArray(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendMap(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n))
}

func appendText[T string | []byte](b []byte, s T) []byte {
	if len(s) < 32 {
		return append(append(b, 0xa0|byte(len(s))), s...)
	}
	return append(binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(s))), s...)
}

// appendSeconds appends t as a number, of what a receiver of any age reads.
func appendSeconds(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(t.Unix()))
}

// appendEventTime appends t as the extension type 0 of the forward protocol: seconds and nanoseconds, 32 bits each.
func appendEventTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xd7, 0), uint32(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// ack reads {"ack": ID} off the front of b. more: it is not whole yet.
func ack(b []byte) (id string, more, ok bool) {
	r := reader{b: b}
	n, ok := r.length(0x80, 0x0f, 0xde, 0xdf)
	for ; ok && n > 0; n-- {
		var key, value string
		if key, ok = r.text(); ok {
			value, ok = r.text()
		}
		if ok && key == "ack" {
			id = value
		}
	}
	return id, r.short, ok
}

// reader reads maps of texts.
type reader struct {
	b     []byte
	short bool // more than there is was wanted
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// length reads a length that is in the low bits of its first byte, mask, or in the bytes behind one of wide, which are of 16 and 32 bits.
func (r *reader) length(fix, mask, wide16, wide32 byte) (int, bool) {
	b := r.take(1)
	switch {
	case b == nil:
		return 0, false
	case b[0]&^mask == fix:
		return int(b[0] & mask), true
	case b[0] == wide16:
		if b = r.take(2); b != nil {
			return int(binary.BigEndian.Uint16(b)), true
		}
	case b[0] == wide32:
		if b = r.take(4); b != nil {
			return int(binary.BigEndian.Uint32(b)), true
		}
	}
	return 0, false
}

// text reads a text or binary of at most 64 KiB.
func (r *reader) text() (string, bool) {
	if len(r.b) > 0 && (r.b[0] == 0xd9 || r.b[0] == 0xc4) { // its length has 8 bits
		head := r.take(2)
		if head == nil {
			return "", false
		}
		b := r.take(int(head[1]))
		return string(b), b != nil
	}
	n, ok := r.length(0xa0, 0x1f, 0xda, 0xdb)
	if !ok || n > 64<<10 {
		return "", false
	}
	b := r.take(n)
	return string(b), b != nil
}
