// Package attachment is a client of the monitor of a container that runs, by the socket in its run directory: of the container's own stdio, or with lines for
// its log.
package attachment

import (
	"bufio"
	"context"
	"fmt"
	"net"

	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// Attachment is one connected client of a monitor's socket.
type Attachment struct {
	conn    *net.UnixConn
	out     *frameWriter
	streams process.IO
}

// Open connects to the stdio of container id, which runs, by the socket in its run directory dir: what it writes goes to streams, what is read
// of streams to it. The caller calls Serve or Close.
func Open(ctx context.Context, id, dir string, streams process.IO) (*Attachment, error) {
	return dial(ctx, id, dir, streams, proto.AttachRequest{Stdin: streams.Stdin != nil})
}

func dial(ctx context.Context, id, dir string, streams process.IO, request proto.AttachRequest) (*Attachment, error) {
	// A socket's path is bounded to 107 bytes (unix(7)); a run root may be longer.
	path, done, err := shortPath(dir, proto.SocketName)
	if err != nil {
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	defer done()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	a := &Attachment{conn: c.(*net.UnixConn), out: &frameWriter{w: c}, streams: streams}
	if _, err := c.Write(request.Line()); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	return a, nil
}

// Serve copies until the monitor closes the connection or ctx ends. A goroutine that waits in the caller's Stdin
// stays until that Read returns: there is no way to call it back. The error is ctx's, of the connection, or of who receives.
func (a *Attachment) Serve(ctx context.Context) error {
	defer a.conn.Close()
	stop := context.AfterFunc(ctx, func() { a.conn.Close() })
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	if a.streams.Stdin != nil {
		go a.feed()
	}
	if a.streams.Resize != nil {
		go a.follow(ended)
	}
	err := readFrames(bufio.NewReaderSize(a.conn, 32<<10), a.streams.Stdout, a.streams.Stderr)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Resize sets the size of the container's terminal; one without takes no notice.
func (a *Attachment) Resize(size process.WinSize) error { return a.out.resize(size) }

// Close hangs up.
//
// Precondition: nobody serves.
func (a *Attachment) Close() { a.conn.Close() }

// feed sends stdin until it ends. Errors of the connection show in Serve.
func (a *Attachment) feed() {
	b := make([]byte, 32<<10)
	for {
		n, err := a.streams.Stdin.Read(b)
		if n > 0 {
			if a.out.write(proto.FrameStdin, b[:n]) != nil {
				return
			}
		}
		if err != nil { // io.EOF, or a terminal that has gone: either way no more comes
			a.out.write(proto.FrameEOF, nil)
			return
		}
	}
}

func (a *Attachment) follow(ended <-chan struct{}) {
	for {
		select {
		case s, ok := <-a.streams.Resize:
			if !ok || a.Resize(s) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}
