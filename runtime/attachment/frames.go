package attachment

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// frameHeader is 1 byte kind, 3 bytes zero, 4 bytes big-endian length.
const frameHeader = 8

// frameLimit bounds what a reader believes of a header.
const frameLimit = 16 << 20

// frameWriter writes whole frames; its users may be several goroutines.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frameWriter) write(kind byte, payload []byte) error {
	b := make([]byte, frameHeader, frameHeader+len(payload))
	b[0] = kind
	binary.BigEndian.PutUint32(b[4:], uint32(len(payload)))
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.w.Write(append(b, payload...))
	return err
}

func (f *frameWriter) resize(s process.WinSize) error {
	var b [4]byte
	binary.BigEndian.PutUint16(b[0:], s.Rows)
	binary.BigEndian.PutUint16(b[2:], s.Cols)
	return f.write(proto.FrameResize, b[:])
}

// readFrames hands the payloads of stdout and stderr to their writers until the peer closes. A writer that fails ends it.
func readFrames(r io.Reader, stdout, stderr io.Writer) error {
	var h [frameHeader]byte
	for {
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		n := int64(binary.BigEndian.Uint32(h[4:]))
		if n > frameLimit {
			return fmt.Errorf("unexpected frame of %d bytes", n)
		}
		var to io.Writer
		switch h[0] {
		case proto.FrameStdout:
			to = stdout
		case proto.FrameStderr:
			to = stderr
		default:
			return fmt.Errorf("unexpected frame of kind %d: expected stdout or stderr", h[0])
		}
		if to == nil {
			to = io.Discard
		}
		if _, err := io.CopyN(to, r, n); err != nil {
			return err
		}
	}
}
