package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// Attach connects to the container's own stdio until the container or ctx ends. What it wrote before is in its
// log. The end of streams.Stdin is the end of the container's stdin.
func (d *Driver) Attach(ctx context.Context, id string, streams process.IO) error {
	if _, err := d.config(id); err != nil {
		return err
	}
	l, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	if l == nil {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot attach to container %.12s: it is not running", id))
	}
	a, err := d.dial(ctx, id, streams)
	if err != nil {
		return err
	}
	return a.serve(ctx)
}

// Run starts container id with the caller's streams attached from its first byte on, calls started when execve has succeeded, and
// returns the exit when the container has ended and its output is delivered. When ctx ends the call does, with ctx's error; the
// container runs on if it was started, and was never started if not.
func (d *Driver) Run(ctx context.Context, id string, streams process.IO, started func(container.State)) (process.Exit, error) {
	unlock, c, l, err := d.door(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if l != nil {
		unlock()
		return process.Exit{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot run container %.12s: it is running already", id))
	}
	// serve of the attachment ends with the container, or with this context.
	actx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	attached := false
	st, l, err := d.launch(ctx, c, launchOptions{stdin: streams.Stdin != nil, listening: func() error {
		a, err := d.dial(actx, id, streams)
		if err != nil {
			return err
		}
		attached = true
		go func() { served <- a.serve(actx) }()
		return nil
	}})
	unlock()
	if err != nil {
		cancel()
		if attached {
			<-served
		}
		return process.Exit{}, err
	}
	if started != nil {
		started(st)
	}
	own := &first{Process: l.init()}
	if streams.Signals != nil {
		go relay(streams.Signals, actx.Done(), own.send)
	}
	x, err := l.wait(ctx)
	x = own.exit(x)
	if err != nil {
		cancel()
		<-served
		return x, err
	}
	// The monitor has ended, and with it the connection: what is left is to hand out what was received. A broken connection is not the
	// container's failure, and its exit is what the caller asked for.
	if serr := <-served; serr != nil && !errors.Is(serr, net.ErrClosed) {
		return x, fmt.Errorf("the output of container %.12s is not complete: %w", id, serr)
	}
	return x, nil
}

// attachment is one connected client of a monitor's socket.
type attachment struct {
	conn    *net.UnixConn
	out     *frameWriter
	streams process.IO
}

func (d *Driver) dial(ctx context.Context, id string, streams process.IO) (*attachment, error) {
	return d.dialFor(ctx, id, streams, proto.AttachRequest{Stdin: streams.Stdin != nil})
}

func (d *Driver) dialFor(ctx context.Context, id string, streams process.IO, request proto.AttachRequest) (*attachment, error) {
	// A socket's path is bounded to 107 bytes (unix(7)); a run root may be longer.
	path, done, err := shortPath(d.runDir(id), proto.SocketName)
	if err != nil {
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	defer done()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	a := &attachment{conn: c.(*net.UnixConn), out: &frameWriter{w: c}, streams: streams}
	if _, err := c.Write(request.Line()); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot attach to container %.12s: %w", id, err)
	}
	return a, nil
}

// serve copies until the monitor closes the connection or ctx ends. A goroutine that waits in the caller's Stdin
// stays until that Read returns: there is no way to call it back.
func (a *attachment) serve(ctx context.Context) error {
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

// feed sends stdin until it ends. Errors of the connection show in serve.
func (a *attachment) feed() {
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

func (a *attachment) follow(ended <-chan struct{}) {
	for {
		select {
		case s, ok := <-a.streams.Resize:
			if !ok || a.out.resize(s) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}
