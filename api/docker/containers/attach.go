package containers

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime/process"
)

// attach connects the client to the container's streams: from the first byte on if it does not run yet.
func (h *handlers) attach(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	keys, err := detachKeys(q.Get("detachKeys"))
	if err != nil {
		return err
	}
	d, err := h.engine.Inspect(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	switch d.State {
	case "paused":
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s is paused. Unpause the container before attach", d.ID))
	case "restarting":
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s is restarting. Wait until the container is running", d.ID))
	}
	stdout, stderr := wire.Bool(r, "stdout"), wire.Bool(r, "stderr")
	if !wire.Bool(r, "stream") {
		conn, err := wire.Hijack(w, r, d.TTY)
		if err != nil {
			return err
		}
		l := open(conn)
		defer l.close()
		if wire.Bool(r, "logs") {
			h.replay(r.Context(), &d, conn, stdout, stderr)
		}
		return nil
	}
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	wires := &later{there: make(chan struct{})}
	var refused error
	ready := func() {
		defer close(wires.there)
		conn, err := wire.Hijack(w, r, d.TTY)
		if err != nil {
			refused = err
			leave()
			return
		}
		l := open(conn)
		l.whenGone(ctx, leave)
		if wire.Bool(r, "logs") {
			h.replay(ctx, &d, conn, stdout, stderr)
		}
		wires.line = l
	}
	streams := process.IO{}
	streams.Stdout, streams.Stderr = outputs(wires, d.TTY, stdout, stderr)
	if wire.Bool(r, "stdin") {
		streams.Stdin = wires
		if d.TTY {
			streams.Stdin = escapable(wires, keys, leave)
		}
	}
	err = h.engine.Attach(ctx, d.ID, streams, ready)
	if wires.line == nil {
		return cmp.Or(refused, err)
	}
	wires.line.close()
	return nil
}

// later is a line that is about to be there. A container that somebody starts at the same moment may have something for it before: that waits.
type later struct {
	there chan struct{} // closed when line is set, or never will be
	line  *line
}

func (x *later) Read(p []byte) (int, error) {
	<-x.there
	if x.line == nil {
		return 0, io.EOF
	}
	return x.line.input.Read(p)
}

func (x *later) Write(p []byte) (int, error) {
	<-x.there
	if x.line == nil {
		return 0, io.ErrClosedPipe
	}
	return x.line.conn.Write(p)
}

// replay sends what the container has written before.
func (h *handlers) replay(ctx context.Context, d *single.Detail, w io.Writer, stdout, stderr bool) {
	read, err := h.engine.Logs(ctx, d.ID, single.Logs{Tail: -1})
	if err != nil {
		return // nothing is kept of it
	}
	out, errs := outputs(w, d.TTY, stdout, stderr)
	_ = read(ctx, func(x ask.LogEntry) error { return writeEntry(out, errs, x, false, d.TTY) })
}

func (h *handlers) resize(w http.ResponseWriter, r *http.Request) error {
	size, err := windowSize(r)
	if err != nil {
		return err
	}
	if err := h.engine.Resize(r.Context(), r.PathValue("id"), size); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func windowSize(r *http.Request) (size process.WinSize, err error) {
	for name, into := range map[string]*uint16{"h": &size.Rows, "w": &size.Cols} {
		n, err := strconv.ParseUint(r.URL.Query().Get(name), 10, 16)
		if err != nil {
			return size, invalid("invalid resize %s: %q", map[string]string{"h": "height", "w": "width"}[name], r.URL.Query().Get(name))
		}
		*into = uint16(n)
	}
	return size, nil
}
