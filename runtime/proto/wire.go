package proto

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"
)

// wire writes messages or reads them, by one description of each for both directions: what is written is
// what is read. It is no JSON because both ends are one build (the daemon carries the init program), and a decoder that has
// to discover its types took 0.7 ms of every start, as long as the start of the program itself.
//
// Integers are 8 bytes little-endian; texts, bytes and lists have their length before them. An empty list is read as nil.
type wire struct {
	b       []byte
	reading bool
	err     error
}

var errShort = errors.New("the message is shorter than what it announces")

func (w *wire) fail() {
	w.err = errShort
	w.b = nil
}

func (w *wire) word(p *uint64) {
	if !w.reading {
		w.b = binary.LittleEndian.AppendUint64(w.b, *p)
		return
	}
	if len(w.b) < 8 {
		w.fail()
		*p = 0
		return
	}
	*p = binary.LittleEndian.Uint64(w.b)
	w.b = w.b[8:]
}

func number[T ~int | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr](w *wire, p *T) {
	n := uint64(*p)
	w.word(&n)
	*p = T(n)
}

func (w *wire) flag(p *bool) {
	var n uint64
	if *p {
		n = 1
	}
	w.word(&n)
	*p = n != 0
}

// length is that of what follows, of which each takes at least min bytes.
func (w *wire) length(n, min int) int {
	number(w, &n)
	if w.reading && (n < 0 || n > len(w.b)/min) {
		w.fail()
		return 0
	}
	return n
}

func (w *wire) text(p *string) {
	n := w.length(len(*p), 1)
	if !w.reading {
		w.b = append(w.b, *p...)
		return
	}
	*p = string(w.b[:n])
	w.b = w.b[n:]
}

func name[T ~string](w *wire, p *T) {
	s := string(*p)
	w.text(&s)
	*p = T(s)
}

// bytes that are read are a part of the message, not a copy.
func (w *wire) bytes(p *[]byte) {
	n := w.length(len(*p), 1)
	if !w.reading {
		w.b = append(w.b, *p...)
		return
	}
	*p = nil
	if n > 0 {
		*p = w.b[:n:n]
	}
	w.b = w.b[n:]
}

func (w *wire) time(p *time.Time) {
	n := p.UnixNano()
	number(w, &n)
	*p = time.Unix(0, n).UTC()
}

func list[T any](w *wire, p *[]T, each func(*wire, *T)) {
	n := w.length(len(*p), 8) // nothing is written in less than a word
	if w.reading {
		*p = nil
		if n > 0 {
			*p = make([]T, n)
		}
	}
	for i := range *p {
		each(w, &(*p)[i])
	}
}

func (w *wire) texts(p *[]string) { list(w, p, (*wire).text) }

func optional[T any](w *wire, p **T, each func(*wire, *T)) {
	there := *p != nil
	w.flag(&there)
	if !there {
		return
	}
	if w.reading {
		*p = new(T)
	}
	each(w, *p)
}

func (w *wire) table(p *map[string]string) {
	keys := slices.Sorted(maps.Keys(*p))
	w.texts(&keys)
	for _, k := range keys {
		if w.reading && *p == nil {
			*p = make(map[string]string, len(keys))
		}
		v := (*p)[k]
		w.text(&v)
		(*p)[k] = v
	}
}
