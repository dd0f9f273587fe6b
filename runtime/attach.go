package runtime

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime/attachment"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/signals"
	"github.com/stackrun/stack/runtime/supervision"
)

// Attach connects to the container's own stdio until the container or ctx ends. What it wrote before is in its
// log. The end of streams.Stdin is the end of the container's stdin.
func (d *Driver) Attach(ctx context.Context, id string, streams process.IO) error {
	if _, err := d.records.Config(id); err != nil {
		return err
	}
	l, err := d.runs.Find(ctx, id)
	if err != nil {
		return err
	}
	if l == nil {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot attach to container %.12s: it is not running", id))
	}
	a, err := attachment.Open(ctx, id, d.records.RunDir(id), streams)
	if err != nil {
		return err
	}
	return a.Serve(ctx)
}

// Run starts container id with the caller's streams attached from its first byte on, calls started when execve has succeeded, and
// returns the exit when the container has ended and its output is delivered. When ctx ends the call does, with ctx's error; the
// container runs on if it was started, and was never started if not.
func (d *Driver) Run(ctx context.Context, id string, streams process.IO, started func(container.State)) (process.Exit, error) {
	unlock, c, l, err := d.runs.Door(ctx, id)
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
	st, l, err := d.runs.Launch(ctx, c, supervision.LaunchOptions{Stdin: streams.Stdin != nil, Listening: func() error {
		a, err := attachment.Open(actx, id, d.records.RunDir(id), streams)
		if err != nil {
			return err
		}
		attached = true
		go func() { served <- a.Serve(actx) }()
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
	own := &signals.First{Process: l.Init()}
	if streams.Signals != nil {
		go signals.Relay(streams.Signals, actx.Done(), own.Send)
	}
	x, err := l.Wait(ctx)
	x = own.Exit(x)
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

// Resize sets the size of the terminal of container id. ErrConflict when it does not run; one without a terminal takes no notice.
func (d *Driver) Resize(ctx context.Context, id string, size process.WinSize) error {
	if _, err := d.records.Config(id); err != nil {
		return err
	}
	if _, err := d.runs.Running(ctx, id, "resize the terminal of"); err != nil {
		return err
	}
	a, err := attachment.Open(ctx, id, d.records.RunDir(id), process.IO{})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Resize(size); err != nil {
		return fmt.Errorf("cannot resize the terminal of container %.12s: %w", id, err)
	}
	return nil
}
