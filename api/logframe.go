package api

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
)

// FramesType is the Content-Type of an answer of frames: FrameLog, and one FrameMessage at the end.
const FramesType = "application/vnd.stack.frames"

// Log lines are not Messages: a log has a million of them, and JSON took most of the time of `logs`, on both sides.
// The payload of a FrameLog is entries. Integers are uvarints (encoding/binary), texts have their length before them:
//
//	source   of the container: its number in the order in which they first came; a new one is followed by
//	         its name, its service and its replica
//	flags    1 = stderr, 2 = partial, 4 = notice
//	time     8 bytes, nanoseconds since 1970, big-endian
//	line
//
// Sources are numbered over a whole answer, not by frame.
const (
	logStderr = 1 << iota
	logPartial
	logNotice
)

type logSource struct {
	container, service string
	replica            int
}

// LogEncoder makes payloads of FrameLog.
type LogEncoder struct {
	known map[logSource]uint64
	last  logSource // of most lines
	index uint64
}

// Append appends e to a payload.
func (l *LogEncoder) Append(b []byte, e ask.LogEntry) []byte {
	if s := (logSource{e.Container, e.Service, e.Replica}); s != l.last || l.known == nil {
		b = l.source(b, s)
	} else {
		b = binary.AppendUvarint(b, l.index)
	}
	var flags byte
	if e.Stream == "stderr" {
		flags |= logStderr
	}
	if e.Partial {
		flags |= logPartial
	}
	if e.Notice {
		flags |= logNotice
	}
	var nano int64
	if !e.Time.IsZero() {
		nano = e.Time.UnixNano()
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(nano))
	b = binary.AppendUvarint(b, uint64(len(e.Line)))
	return append(b, e.Line...)
}

func (l *LogEncoder) source(b []byte, s logSource) []byte {
	index, ok := l.known[s]
	l.last = s
	if ok {
		l.index = index
		return binary.AppendUvarint(b, index)
	}
	if l.known == nil {
		l.known = map[logSource]uint64{}
	}
	l.index = uint64(len(l.known))
	l.known[s] = l.index
	b = binary.AppendUvarint(b, l.index)
	for _, text := range []string{s.container, s.service} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return binary.AppendUvarint(b, uint64(s.replica))
}

// LogDecoder reads them.
type LogDecoder struct{ known []logSource }

var errLogFrame = errors.New("malformed log frame")

// Each calls f for the entries of one payload. Their lines are parts of it.
func (l *LogDecoder) Each(payload []byte, f func(ask.LogEntry) error) error {
	r := logReader{b: payload}
	for len(r.b) > 0 && !r.short {
		index := r.number()
		if index == uint64(len(l.known)) && !r.short {
			l.known = append(l.known, logSource{string(r.text()), string(r.text()), int(r.number())})
		}
		flags, nano, line := r.take(1), r.take(8), r.text()
		if r.short || index >= uint64(len(l.known)) {
			break
		}
		s := l.known[index]
		e := ask.LogEntry{
			Container: s.container, Service: s.service, Replica: s.replica, Stream: "stdout",
			Line: line, Partial: flags[0]&logPartial != 0, Notice: flags[0]&logNotice != 0,
		}
		if flags[0]&logStderr != 0 {
			e.Stream = "stderr"
		}
		if n := int64(binary.BigEndian.Uint64(nano)); n != 0 {
			e.Time = time.Unix(0, n).UTC()
		}
		if err := f(e); err != nil {
			return err
		}
		if len(r.b) == 0 {
			return nil
		}
	}
	if len(payload) == 0 {
		return nil
	}
	return errLogFrame
}

type logReader struct {
	b     []byte
	short bool
}

func (r *logReader) number() uint64 {
	n, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.short = true
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *logReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.short = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *logReader) text() []byte { return r.take(r.number()) }
