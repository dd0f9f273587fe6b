package wire

import (
	"encoding/binary"
	"io"
	"sync"
)

// The streams of a process in a multiplexed answer.
const (
	Stdin byte = iota
	Stdout
	Stderr
)

// Frames multiplexes the outputs of a process without a terminal: before each part 8 bytes, the stream, three zeros, and the part's length, big-endian. Safe for concurrent use.
type Frames struct {
	mu sync.Mutex
	w  io.Writer
}

// NewFrames writes to w.
func NewFrames(w io.Writer) *Frames { return &Frames{w: w} }

// Stream is the writer of one of them.
func (f *Frames) Stream(which byte) io.Writer { return frameWriter{f, which} }

type frameWriter struct {
	f     *Frames
	which byte
}

func (w frameWriter) Write(p []byte) (int, error) {
	frame := make([]byte, 8, 8+len(p))
	frame[0] = w.which
	binary.BigEndian.PutUint32(frame[4:], uint32(len(p)))
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	if _, err := w.f.w.Write(append(frame, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}
