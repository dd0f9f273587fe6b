package monitor

import (
	"encoding/binary"
	"io"
	"os"
	"time"

	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

// notes puts what a client says into the log, until it goes. It comes by the monitor because a log has one writer: that alone keeps its lines
// whole and its limits.
func (s *server) notes(conn *os.File) {
	defer conn.Close()
	var header [frameHeader]byte
	for {
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(header[4:])
		if n > logs.MaxLine {
			return
		}
		line := make([]byte, n)
		if _, err := io.ReadFull(conn, line); err != nil {
			return
		}
		switch header[0] {
		case proto.FrameStdout:
			s.m.streams.note(s.m, logs.Stdout, line)
		case proto.FrameStderr:
			s.m.streams.note(s.m, logs.Stderr, line)
		}
	}
}

// note logs a line that is not the container's own.
func (s *streams) note(m *monitor, name string, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.log == nil || s.logged {
		return
	}
	s.moved++
	m.log.Line(name, time.Now(), line)
	s.tellLoss(m)
}

// endLog closes the log; what comes later is dropped.
func (s *streams) endLog(m *monitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged = true
	if m.log != nil {
		if n, _ := m.log.Lost(); n > 0 {
			s.lost = true
		}
		m.log.Close()
	}
}
