package build

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tail keeps the last lines of what is written, in bounds.
type tail struct {
	mu    sync.Mutex
	lines []string
}

const (
	tailLines = 20
	tailWidth = 500
)

func (t *tail) add(line []byte) {
	if len(line) > tailWidth {
		line = append(line[:tailWidth:tailWidth], "…"...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, "    "+strings.ToValidUTF8(string(line), "�")); len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// stream is one of the two streams of a command: lines of the one are not cut by the other's.
type stream struct {
	out  *output
	line []byte
}

func (o *output) stream() io.Writer {
	s := &stream{out: o}
	o.streams = append(o.streams, s)
	return s
}

// Write passes on what it is given, and keeps lines.
func (s *stream) Write(b []byte) (int, error) {
	p := s.out.p
	p.Phase, p.Output = Output, bytes.Clone(b)
	s.out.tell(p)
	for rest := b; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if len(s.line) < 2*tailWidth {
			s.line = append(s.line, line...)
		}
		if whole {
			s.end()
		}
		rest = after
	}
	return len(b), nil
}

func (s *stream) end() {
	line := bytes.TrimRight(s.line, "\r")
	if len(line) > 0 {
		s.out.add(line)
	}
	s.line = s.line[:0]
}

// flush ends the lines that have no end. Nobody writes any more.
func (o *output) flush() {
	for _, s := range o.streams {
		s.end()
	}
}
