package monitor

import (
	"encoding/binary"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

const (
	frameHeader = 8
	maxFrame    = 1 << 20 // of input; a client that says more has lost the protocol
	maxRequest  = 4 << 10

	queueFrames = 8 // with readSize: half a MiB
	// stall is how long a client may take nothing at all before it is dropped. Until then the
	// container waits, as it would for a terminal: nothing is lost to a pager that is slow.
	stall = 30 * time.Second
	// greet is how long a client may take to say what it wants.
	greet = 10 * time.Second
)

func putHeader(b []byte, kind byte, n int) {
	b[0], b[1], b[2], b[3] = kind, 0, 0, 0
	binary.BigEndian.PutUint32(b[4:], uint32(n))
}

// client is one who has attached.
type client struct {
	conn  *os.File
	queue chan []byte

	once   sync.Once
	broken chan struct{} // closed when nothing can be sent any more
	ending sync.Once
}

// serve speaks with one client until it goes.
func (s *server) serve(conn *os.File) {
	defer func() {
		s.mu.Lock()
		s.serving--
		s.mu.Unlock()
	}()
	_ = conn.SetReadDeadline(time.Now().Add(greet))
	request, err := readRequest(conn)
	if err != nil {
		conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if request.Notes {
		s.notes(conn)
		return
	}
	c := &client{conn: conn, queue: make(chan []byte, queueFrames), broken: make(chan struct{})}
	if !s.add(c) {
		conn.Close()
		return
	}
	s.first.Do(func() { close(s.m.attached) })
	halfClosed := s.input(c, request)
	if halfClosed {
		if request.Stdin {
			s.m.streams.closeInput()
		}
		return // it reads on; its writer ends with the container
	}
	s.drop(c)
}

// readRequest reads the line byte by byte: what follows it belongs to the frames.
func readRequest(r io.Reader) (proto.AttachRequest, error) {
	var request proto.AttachRequest
	line := make([]byte, 0, 64)
	var b [1]byte
	for len(line) < maxRequest {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return request, err
		}
		if b[0] == '\n' {
			return proto.ParseAttachRequest(line)
		}
		line = append(line, b[0])
	}
	return request, io.ErrShortBuffer
}

// input takes the client's frames. It says whether the client has only closed its own direction.
func (s *server) input(c *client, request proto.AttachRequest) (halfClosed bool) {
	var header [frameHeader]byte
	for {
		if _, err := io.ReadFull(c.conn, header[:]); err != nil {
			return err == io.EOF && !hungUp(c.conn)
		}
		n := binary.BigEndian.Uint32(header[4:])
		if n > maxFrame {
			return false
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(c.conn, payload); err != nil {
			return false
		}
		switch {
		case header[0] == proto.FrameResize && n == 4:
			s.m.streams.resize(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]))
		case header[0] == proto.FrameStdin && request.Stdin:
			// A program that has closed its stdin does not want the rest; that is no fault of the client's.
			_ = s.m.streams.write(payload)
		case header[0] == proto.FrameEOF && request.Stdin:
			s.m.streams.closeInput()
		}
	}
}

// send queues a frame. false: the client is gone, or has taken nothing for the time of stall.
func (c *client) send(frame []byte) bool {
	select {
	case c.queue <- frame:
		return true
	case <-c.broken:
		return false
	default:
	}
	timer := time.NewTimer(stall)
	defer timer.Stop()
	select {
	case c.queue <- frame:
		return true
	case <-c.broken:
		return false
	case <-timer.C:
		return false
	}
}

// write sends what is queued until end or abort.
func (c *client) write() {
	defer c.conn.Close()
	for {
		select {
		case frame, ok := <-c.queue:
			if !ok {
				return
			}
			_ = c.conn.SetWriteDeadline(time.Now().Add(stall))
			if _, err := c.conn.Write(frame); err != nil {
				c.abort()
				return
			}
		case <-c.broken:
			return
		}
	}
}

// end lets the writer finish with what is queued.
// Precondition: nobody sends any more.
func (c *client) end() { c.ending.Do(func() { close(c.queue) }) }

// abort makes the writer stop, also in the middle of a frame.
func (c *client) abort() {
	c.once.Do(func() {
		close(c.broken)
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	})
}

// hungUp tells a client that is gone from one that has shut down its writing direction only.
func hungUp(f *os.File) bool {
	gone := true
	conn, err := f.SyscallConn()
	if err != nil {
		return true
	}
	_ = conn.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}}
		if n, err := unix.Poll(p, 0); err == nil && n >= 0 {
			gone = p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		}
	})
	return gone
}

// awaitHangup closes gone when the peer of the socket fd is gone, until stop. The socket is read from elsewhere and by calls that wait: an
// epoll instance of its own can be in Go's poller, which takes no thread.
func awaitHangup(fd int) (gone <-chan struct{}, stop func(), err error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	f := pollable(epoll, "hangup")
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP}); err != nil {
		f.Close()
		return nil, nil, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	hungUp := make(chan struct{})
	go func() {
		if conn.Read(func(uintptr) bool { return ready(fd, unix.POLLRDHUP) }) == nil {
			close(hungUp)
		}
	}()
	return hungUp, func() { f.Close() }, nil
}
