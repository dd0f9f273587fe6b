package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	body, err := decodeFor(w, r, func(b *api.RunRequest) *spec.Project { return b.Project })
	if err == nil && body.Options.Name != "" {
		err = spec.CheckContainerName(body.Options.Name)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	o := body.Options
	s.upgrade(w, r, o.Interactive, func(ctx context.Context, streams process.IO, sink event.Sink) (process.Exit, error) {
		return s.engine.Run(ctx, body.Project, o, streams, sink)
	})
}

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	name, o, err := posted[ask.ExecOptions](w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.upgrade(w, r, !o.Detach, func(ctx context.Context, streams process.IO, _ event.Sink) (process.Exit, error) {
		return s.engine.Exec(ctx, name, o, streams)
	})
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	name, o, err := posted[ask.AttachOptions](w, r)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.upgrade(w, r, o.Stdin, func(ctx context.Context, streams process.IO, _ event.Sink) (process.Exit, error) {
		return s.engine.Attach(ctx, name, o, streams)
	})
}

// upgrade takes the connection over and runs do with its streams; stdin says whether do gets one.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, stdin bool,
	do func(context.Context, process.IO, event.Sink) (process.Exit, error)) {
	base := r.Context()
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.fail(w, err)
		return
	}
	defer conn.Close()
	// The request's context ends with the handler and with the server, no longer with the connection.
	ctx, cancel := context.WithCancel(base)
	defer cancel()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"+
		"Connection: Upgrade\r\nUpgrade: tcp\r\n"+api.VersionHeader+": "+s.opt.Version.Version+"\r\n\r\n"); err != nil {
		return
	}
	frames := api.NewFrameWriter(conn)
	in := newInput(cancel)
	go in.read(rw.Reader)

	events := newStream(cancel, func(batch []api.Message) error {
		for _, m := range batch {
			if err := frames.Message(m); err != nil {
				return err
			}
		}
		return nil
	})
	streams := process.IO{
		Stdout: afterwards{frames.Stream(api.FrameStdout), events}, Stderr: afterwards{frames.Stream(api.FrameStderr), events},
		Resize: in.resize, Signals: in.signals,
	}
	if stdin {
		streams.Stdin = in.stdin
	} else {
		in.stdin.Close()
	}
	result, err := s.guard(func() (api.Result, error) {
		exit, err := do(ctx, streams, events.event)
		// A program that could not be started has an exit code all the same: 127 not found, 126 not executable.
		var start *runtime.StartError
		if errors.As(err, &start) && start.Failure != nil && ctx.Err() == nil {
			exit, err = process.Exit{Code: start.Failure.ExitCode, Error: err.Error()}, nil
		}
		return api.Result{Exit: &exit}, err
	})
	in.stdin.Close() // what still comes is not for anybody
	events.finish(result, s.travelling(err))
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite() //nolint:errcheck // closed next
	}
}

// afterwards is a process's output: what was told before a byte is sent before it.
type afterwards struct {
	io.Writer
	events *stream
}

func (w afterwards) Write(p []byte) (int, error) {
	w.events.sent()
	return w.Writer.Write(p)
}

// SyscallConn lets whoever has taken the connection over find out that the peer has closed it.
func (c *counted) SyscallConn() (syscall.RawConn, error) {
	if u, ok := c.Conn.(syscall.Conn); ok {
		return u.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// CloseWrite lets the peer read to the end although it still writes.
func (c *counted) CloseWrite() error {
	if u, ok := c.Conn.(*net.UnixConn); ok {
		return u.CloseWrite()
	}
	return errors.ErrUnsupported
}

// input is what a client sends on an upgraded connection, taken apart. Its end cancels the request.
type input struct {
	cancel  context.CancelFunc
	stdin   *io.PipeReader
	feed    *io.PipeWriter
	resize  chan process.WinSize
	signals chan syscall.Signal
}

func newInput(cancel context.CancelFunc) *input {
	in := &input{cancel: cancel, resize: make(chan process.WinSize, 1), signals: make(chan syscall.Signal, 16)}
	in.stdin, in.feed = io.Pipe()
	return in
}

// read runs until the connection ends or breaks the protocol. A pump of its own carries stdin, so
// that a process that does not read its input does not hold up signals, nor hide that the client is gone.
func (in *input) read(r *bufio.Reader) {
	defer in.cancel()
	chunks := newChunks()
	defer chunks.close(io.ErrUnexpectedEOF)
	go chunks.pump(in.feed)
	for {
		kind, payload, err := api.ReadFrame(r)
		if err != nil {
			return
		}
		switch kind {
		case api.FrameStdin:
			chunks.put(payload)
		case api.FrameEOF:
			chunks.close(io.EOF)
		case api.FrameResize:
			if len(payload) == 4 {
				in.setSize(process.WinSize{Rows: binary.BigEndian.Uint16(payload), Cols: binary.BigEndian.Uint16(payload[2:])})
			}
		case api.FrameSignal:
			if len(payload) == 1 {
				select {
				case in.signals <- syscall.Signal(payload[0]):
				default: // 16 unhandled signals say nothing that 17 do not
				}
			}
		default:
			return
		}
	}
}

// setSize leaves only the newest size in the channel.
func (in *input) setSize(size process.WinSize) {
	for {
		select {
		case in.resize <- size:
			return
		default:
		}
		select {
		case <-in.resize:
		default:
		}
	}
}
