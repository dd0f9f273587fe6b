package containers

import (
	"context"
	"io"
	"net/http"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/execs"
	"github.com/stackrun/stack/runtime/process"
)

func (h *handlers) createExec(w http.ResponseWriter, r *http.Request) error {
	var body container.ExecCreateRequest
	// Older clients say in both requests how it is started; the second one counts.
	if err := wire.Decode(w, r, &body, "Detach", "ExecIDs", "Container"); err != nil {
		return err
	}
	if _, err := detachKeys(body.DetachKeys); err != nil {
		return err
	}
	want := execs.Want{
		Args: body.Cmd, Env: body.Env, User: body.User, Cwd: body.WorkingDir, TTY: body.Tty, Privileged: body.Privileged, Stdin: body.AttachStdin, Stdout: body.AttachStdout, Stderr: body.AttachStderr,
		DetachKeys: body.DetachKeys,
	}
	want.Rows, want.Cols = consoleSize(body.ConsoleSize)
	id, err := h.engine.CreateExec(r.Context(), r.PathValue("id"), want)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, container.ExecCreateResponse{ID: id})
}

func consoleSize(size *[2]uint) (rows, cols uint16) {
	if size == nil {
		return 0, 0
	}
	return uint16(min(size[0], 1<<16-1)), uint16(min(size[1], 1<<16-1))
}

// startExec runs the command: on this connection, or by itself.
func (h *handlers) startExec(w http.ResponseWriter, r *http.Request) error {
	var body container.ExecStartRequest
	// Older clients say in both requests what is executed; the first one counts.
	if err := wire.Decode(w, r, &body, "User", "Privileged", "Cmd", "Container", "AttachStdin", "AttachStdout", "AttachStderr", "Env", "WorkingDir", "DetachKeys"); err != nil {
		return err
	}
	id := r.PathValue("id")
	start := execs.Start{Detach: body.Detach}
	start.Rows, start.Cols = consoleSize(body.ConsoleSize)
	d, err := h.engine.BeginExec(r.Context(), id, start)
	if err != nil {
		return err
	}
	if body.Detach {
		if err := h.engine.RunExec(context.WithoutCancel(r.Context()), id, true, process.IO{}); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	conn, err := wire.Hijack(w, r, d.TTY)
	if err != nil {
		return err
	}
	l := open(conn)
	defer l.close()
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	l.whenGone(ctx, leave)
	streams := process.IO{}
	streams.Stdout, streams.Stderr = outputs(conn, d.TTY, d.Stdout, d.Stderr)
	if d.Stdin {
		streams.Stdin = l.input
		if d.TTY {
			keys, err := detachKeys(d.DetachKeys)
			if err != nil {
				keys = nil // it was looked at when it was made
			}
			streams.Stdin = escapable(l.input, keys, leave)
		}
	}
	if err := h.engine.RunExec(ctx, id, false, streams); err != nil {
		to, _ := outputs(conn, d.TTY, true, false)
		if _, errs := outputs(conn, d.TTY, false, d.Stderr); errs != nil {
			to = errs
		}
		io.WriteString(to, err.Error()+"\r\n") //nolint:errcheck // the peer is gone
	}
	return nil
}

func (h *handlers) resizeExec(w http.ResponseWriter, r *http.Request) error {
	size, err := windowSize(r)
	if err != nil {
		return err
	}
	if err := h.engine.ResizeExec(r.Context(), r.PathValue("id"), size); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handlers) inspectExec(w http.ResponseWriter, r *http.Request) error {
	d, err := h.engine.InspectExec(r.PathValue("id"))
	if err != nil {
		return err
	}
	out := container.ExecInspectResponse{
		ID: d.ID, Running: d.Running, OpenStdin: d.Stdin, OpenStdout: d.Stdout, OpenStderr: d.Stderr, CanRemove: d.Exit != nil, ContainerID: d.Container, Pid: d.Pid,
		ProcessConfig: &container.ExecProcessConfig{Tty: d.TTY, Entrypoint: d.Args[0], Arguments: d.Args[1:], Privileged: &d.Privileged, User: d.User},
	}
	if d.Exit != nil {
		out.ExitCode = &d.Exit.Code
	}
	return wire.JSON(w, http.StatusOK, out)
}
