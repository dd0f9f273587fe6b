package api

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/stackrun/stack/internal/errdefs"
)

// A frame is 8 bytes of header and a payload: 1 byte kind, 3 bytes zero, 4 bytes big-endian length.
// The header and the first three kinds are the Docker Engine API's multiplexed stream; the others let
// everything travel in order on one connection, so that its end means just one thing: the peer is gone.
// https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Container/operation/ContainerAttach
type FrameKind byte

const (
	FrameStdin   FrameKind = 0 // client → daemon
	FrameStdout  FrameKind = 1
	FrameStderr  FrameKind = 2
	FrameResize  FrameKind = 3 // client → daemon: rows, cols as 2 × uint16 big-endian
	FrameEOF     FrameKind = 4 // client → daemon: stdin ended
	FrameSignal  FrameKind = 5 // client → daemon: 1 byte, the signal's number
	FrameMessage FrameKind = 6 // daemon → client: a Message in JSON
	FrameLog     FrameKind = 7 // daemon → client: log lines, see LogEncoder
)

// maxFrame bounds a payload, bytes.
const maxFrame = 1 << 20

// FrameWriter writes frames. It is safe for concurrent use.
type FrameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func NewFrameWriter(w io.Writer) *FrameWriter { return &FrameWriter{w: w} }

// Write sends payload as one frame, or several when it is larger than a frame may be.
func (f *FrameWriter) Write(kind FrameKind, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		n := min(len(payload), maxFrame)
		// One write for header and payload: two would wake the reader twice.
		buf := make([]byte, 8+n)
		buf[0] = byte(kind)
		binary.BigEndian.PutUint32(buf[4:], uint32(n))
		copy(buf[8:], payload)
		if _, err := f.w.Write(buf); err != nil {
			return err
		}
		payload = payload[n:]
		if len(payload) == 0 {
			return nil
		}
	}
}

// Message sends m.
func (f *FrameWriter) Message(m Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxFrame {
		return fmt.Errorf("message of %d bytes does not fit a frame", len(text))
	}
	return f.Write(FrameMessage, text)
}

// Stream is an io.Writer whose bytes go out as frames of kind.
func (f *FrameWriter) Stream(kind FrameKind) io.Writer { return frameStream{f, kind} }

type frameStream struct {
	f    *FrameWriter
	kind FrameKind
}

func (s frameStream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.f.Write(s.kind, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFrame reads one frame. io.EOF only between frames.
func ReadFrame(r io.Reader) (FrameKind, []byte, error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(header[4:])
	if header[1]|header[2]|header[3] != 0 || FrameKind(header[0]) > FrameLog || n > maxFrame {
		return 0, nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("malformed frame: header % x", header))
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return FrameKind(header[0]), payload, nil
}
