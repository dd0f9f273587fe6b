package build

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/stackrun/stack/internal/plaintext"
)

// tail keeps the last lines of what is written, in bounds.
type tail struct {
	mu    sync.Mutex
	lines []string
}

const (
	tailLines = 20
	tailWidth = 500 // characters
)

func (t *tail) add(line string) {
	if line == "" {
		return
	}
	if r := []rune(line); len(r) > tailWidth {
		line = string(r[:tailWidth]) + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, "    "+line); len(t.lines) > tailLines {
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
	out   *output
	lines plaintext.Lines
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
	s.lines.Write(b, s.out.add)
	return len(b), nil
}

// flush takes the lines that have no end. Nobody writes any more.
func (o *output) flush() {
	for _, s := range o.streams {
		o.add(s.lines.Rest())
	}
}
