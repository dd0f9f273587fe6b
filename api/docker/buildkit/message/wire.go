package message

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one of a message: its number, and its value, which is n or bytes.
type field struct {
	protowire.Number
	n     uint64
	bytes []byte // of the message that was read
}

func (f field) string() string { return string(f.bytes) }
func (f field) bool() bool     { return f.n != 0 }

// entry is the field as an entry of a map of texts.
func (f field) entry() (key, value string, err error) {
	err = each(f.bytes, func(f field) error {
		switch f.Number {
		case 1:
			key = f.string()
		case 2:
			value = f.string()
		}
		return nil
	})
	return key, value, err
}

// into puts the entry into m, which is made when it is needed.
func (f field) into(m *map[string]string) error {
	k, v, err := f.entry()
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
	return err
}

// each calls fn for the fields of b. Those of fixed size mean nothing in these messages.
func each(b []byte, fn func(field) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		f := field{Number: num}
		switch kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			if n = protowire.ConsumeFieldValue(num, kind, b); n >= 0 {
				b = b[n:]
				continue
			}
		}
		if n < 0 {
			return malformed(n)
		}
		if err := fn(f); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func malformed(n int) error {
	return fmt.Errorf("a message is malformed: %w", protowire.ParseError(n))
}

// encoder is a message that is written. Fields without a value are left out.
type encoder []byte

func (e *encoder) bytes(num protowire.Number, b []byte) {
	if len(b) > 0 {
		e.message(num, b)
	}
}

// message writes also one that is empty.
func (e *encoder) message(num protowire.Number, b []byte) {
	*e = protowire.AppendBytes(protowire.AppendTag(*e, num, protowire.BytesType), b)
}

func (e *encoder) string(num protowire.Number, s string) { e.bytes(num, []byte(s)) }

func (e *encoder) varint(num protowire.Number, n uint64) {
	if n != 0 {
		*e = protowire.AppendVarint(protowire.AppendTag(*e, num, protowire.VarintType), n)
	}
}

func (e *encoder) bool(num protowire.Number, v bool) { e.varint(num, protowire.EncodeBool(v)) }

// texts writes a map in the order of its keys.
func (e *encoder) texts(num protowire.Number, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var one encoder
		one.string(1, k)
		one.string(2, m[k])
		e.message(num, one)
	}
}

// time writes a google.protobuf.Timestamp; zero = there is none.
func (e *encoder) time(num protowire.Number, t time.Time) {
	if t.IsZero() {
		return
	}
	var one encoder
	one.varint(1, uint64(t.Unix()))
	one.varint(2, uint64(t.Nanosecond()))
	e.message(num, one)
}
