package attachment

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// Notes takes lines to the log of a container that is not the daemon's to write: to its monitor. A monitor of an earlier program
// does not know them, and one that ends takes no more: what a process says is no reason for it to fail, so they are dropped then.
type Notes struct {
	a      *Attachment // nil = there is nobody to take them
	prefix string
	lines  []*lineWriter
}

// OpenNotes is for the log of container id, which runs and whose run directory is dir; prefix goes before each line. It does not fail: without a
// monitor that takes notes they are dropped.
func OpenNotes(ctx context.Context, id, dir, prefix string) *Notes {
	n := &Notes{prefix: prefix}
	if a, err := dial(ctx, id, dir, process.IO{}, proto.AttachRequest{Notes: true}); err == nil {
		n.a = a
	}
	return n
}

// Beside is a writer to w, which may be nil, and to the log; kind is the stream, as in package proto. Errors are w's.
func (n *Notes) Beside(w io.Writer, kind byte) io.Writer {
	if n.a == nil {
		return w
	}
	l := &lineWriter{notes: n, kind: kind}
	n.lines = append(n.lines, l)
	if w == nil {
		return l
	}
	return io.MultiWriter(w, l)
}

// Close sends what has no newline, and returns when the monitor has written all.
//
// Precondition: nobody writes any more.
func (n *Notes) Close() {
	if n.a == nil {
		return
	}
	for _, l := range n.lines {
		if len(l.rest) > 0 {
			l.send(l.rest)
		}
	}
	_ = n.a.conn.CloseWrite()
	_ = n.a.conn.SetReadDeadline(time.Now().Add(noteLinger))
	_, _ = io.Copy(io.Discard, n.a.conn) // it sends nothing and hangs up at the end
	n.a.conn.Close()
}

// noteLinger is how long a monitor may take to write what it was given. It writes at once unless its disk is slow.
const noteLinger = 2 * time.Second

// lineWriter sends one stream line by line. It is for one goroutine at a time.
type lineWriter struct {
	notes *Notes
	kind  byte
	rest  []byte
}

func (l *lineWriter) Write(b []byte) (int, error) {
	whole := len(b)
	room := logs.MaxLine - len(l.notes.prefix)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		end := i >= 0 && len(l.rest)+i <= room
		n := min(len(b), room-len(l.rest))
		if end {
			n = i
		}
		l.rest = append(l.rest, b[:n]...)
		b = b[n:]
		if end {
			b = b[1:]
		}
		if end || len(l.rest) == room {
			l.send(l.rest)
			l.rest = l.rest[:0]
		}
	}
	return whole, nil
}

func (l *lineWriter) send(line []byte) {
	_ = l.notes.a.out.write(l.kind, append([]byte(l.notes.prefix), line...)) // see notes
}
