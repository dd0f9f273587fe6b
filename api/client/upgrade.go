package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sparsejson"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Run runs a one-off container with streams and returns how its process ended.
func (c *Client) Run(ctx context.Context, p *spec.Project, o ask.RunOptions, streams process.IO, s event.Sink) (process.Exit, error) {
	return c.upgraded(ctx, path(p.Name, "run"), api.RunRequest{Project: p, Options: o}, streams, s, "it may run on: `stack ps` shows its container")
}

// Exec runs a process in a container with streams and returns how it ended.
func (c *Client) Exec(ctx context.Context, project string, o ask.ExecOptions, streams process.IO) (process.Exit, error) {
	return c.upgraded(ctx, path(project, "exec"), o, streams, nil, "it may run on: `stack top` shows it")
}

// Attach connects streams to a container's own and returns how it ended.
func (c *Client) Attach(ctx context.Context, project string, o ask.AttachOptions, streams process.IO) (process.Exit, error) {
	return c.upgraded(ctx, path(project, "attach"), o, streams, nil, "the container runs on: `stack attach` connects again, and `stack logs` has what it wrote meanwhile")
}

// upgraded asks for path with body, and carries frames until the last message.
// When ctx ends the connection is closed, which cancels the request. Stdin is read until the end of the process;
// a read that blocks then is left behind with its goroutine. left is for who loses the daemon: see cutOff.
func (c *Client) upgraded(ctx context.Context, path string, body any, streams process.IO, s event.Sink, left string) (process.Exit, error) {
	text, err := sparsejson.Marshal(body)
	if err != nil {
		return process.Exit{}, err
	}
	a, err := c.ask(ctx, request{method: http.MethodPost, path: path, text: text, upgrade: true})
	if err != nil {
		return process.Exit{}, err
	}
	defer a.Close()
	done := make(chan struct{})
	defer close(done)
	frames := api.NewFrameWriter(a.conn)
	go sendStdin(frames, streams.Stdin)
	go sendControl(frames, streams, done)
	for {
		kind, payload, err := api.ReadFrame(a.in)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return process.Exit{}, cutOff(ctx, err, left)
		}
		switch kind {
		case api.FrameStdout:
			err = writeTo(streams.Stdout, payload)
		case api.FrameStderr:
			err = writeTo(streams.Stderr, payload)
		case api.FrameMessage:
			var m api.Message
			if err := json.Unmarshal(payload, &m); err != nil {
				return process.Exit{}, cutOff(ctx, err, left)
			}
			switch {
			case m.Error != nil:
				if ctx.Err() != nil {
					return process.Exit{}, ctx.Err()
				}
				return process.Exit{}, m.Error
			case m.Done != nil:
				if m.Done.Exit == nil {
					return process.Exit{}, nil
				}
				return *m.Done.Exit, nil
			case m.Event != nil && s != nil:
				s(*m.Event)
			}
		}
		if err != nil {
			return process.Exit{}, err
		}
	}
}

// cutOff is brokeOff for streams; left says what becomes of what they were of. What was run is not to be asked for again: it would run once more,
// beside what runs already.
func cutOff(ctx context.Context, err error, left string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errdefs.With(errdefs.ErrUnavailable, fmt.Errorf("the stack daemon went away, and with it the connection: %w\n%s", err, left))
}

func writeTo(w io.Writer, p []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(p)
	return err
}

// sendStdin sends what r gives and then its end.
func sendStdin(frames *api.FrameWriter, r io.Reader) {
	if r != nil {
		if _, err := io.Copy(frames.Stream(api.FrameStdin), r); err != nil {
			// The connection is gone, or the terminal cannot be read: to the process both are the end.
			frames.Write(api.FrameEOF, nil) //nolint:errcheck // see above
			return
		}
	}
	frames.Write(api.FrameEOF, nil) //nolint:errcheck // the reader sees the connection's end
}

// sendControl sends sizes and signals until done.
func sendControl(frames *api.FrameWriter, streams process.IO, done <-chan struct{}) {
	for {
		var err error
		select {
		case size := <-streams.Resize:
			var p [4]byte
			binary.BigEndian.PutUint16(p[:], size.Rows)
			binary.BigEndian.PutUint16(p[2:], size.Cols)
			err = frames.Write(api.FrameResize, p[:])
		case sig := <-streams.Signals:
			err = frames.Write(api.FrameSignal, []byte{byte(sig)})
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}
