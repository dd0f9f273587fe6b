package buildkit

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
)

// tunnelled takes a connection on which the client is called, within a call: how buildx lends one session to several builds.
func (c *caller) tunnelled(ctx context.Context, s *grpc.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	t := &tunnel{stream: s, cancel: cancel}
	defer t.Close()
	return c.sessions.Serve(ctx, s.Header.Get(headSession), c.owner, func() (net.Conn, error) { return t, nil })
}

// headSession is the id of a session that is lent.
const headSession = "X-Docker-Expose-Session-Uuid"

// tunnel is a connection that consists of the messages of a call. What reads from it does until the call ends, which Close does.
type tunnel struct {
	stream *grpc.Stream
	cancel context.CancelFunc
	rest   []byte

	mu     sync.Mutex // of what is sent
	closed bool
}

func (t *tunnel) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		msg, err := t.stream.Recv()
		if err != nil {
			return 0, err
		}
		if t.rest, err = message.ReadData(msg); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *tunnel) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, net.ErrClosed
	}
	if err := t.stream.Send(message.Data(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close waits for what is being sent: after it nothing of the call is touched any more but by who reads.
func (t *tunnel) Close() error {
	t.cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return nil
}

func (t *tunnel) LocalAddr() net.Addr              { return here{} }
func (t *tunnel) RemoteAddr() net.Addr             { return here{} }
func (t *tunnel) SetDeadline(time.Time) error      { return nil } // a call has none
func (t *tunnel) SetReadDeadline(time.Time) error  { return nil }
func (t *tunnel) SetWriteDeadline(time.Time) error { return nil }

type here struct{}

func (here) Network() string { return "h2c" }
func (here) String() string  { return "a connection within a call" }
