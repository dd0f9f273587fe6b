package access

import (
	"context"
	"fmt"
	"syscall"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime/process"
)

// Attach connects the caller's streams to those of the process that a service's container runs, and returns how that ended. When ctx ends first, or the
// caller's input, the process is left as it is: its stdin stays open for whoever comes next.
func (a *Access) Attach(ctx context.Context, project string, o ask.AttachOptions, theirs process.IO) (process.Exit, error) {
	defer a.turns.Enter()()
	c, err := a.pick(ctx, project, choice{service: o.Service, index: o.Index})
	if err != nil {
		return process.Exit{}, err
	}
	over, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end() // when nothing of this is connected any more
	type outcome struct {
		exit process.Exit
		err  error
	}
	ended := make(chan outcome, 1)
	go func() { // of this run: its policy may start it again at once
		exit, err := a.drivers.Containers.Wait(over, c.ID)
		ended <- outcome{exit, err}
	}()
	streams := process.IO{Stdout: theirs.Stdout, Stderr: theirs.Stderr}
	if o.Stdin && c.Spec.StdinOpen {
		streams.Stdin = lifecycle.WithoutEnd(over, theirs.Stdin)
	}
	if c.Spec.TTY {
		streams.Resize = redrawn(over, process.WinSize{Rows: o.Rows, Cols: o.Cols}, theirs.Resize)
	}
	go a.relay(over, c.ID, theirs.Signals)
	if err := a.drivers.Containers.Attach(ctx, c.ID, streams); err != nil {
		if ctx.Err() != nil {
			return process.Exit{}, context.Cause(ctx)
		}
		return process.Exit{}, fmt.Errorf("cannot attach to container %s: %w", c.Name, wording.Cause(err, c.ID, c.Name))
	}
	select {
	case r := <-ended:
		return r.exit, r.err
	case <-ctx.Done():
		return process.Exit{}, context.Cause(ctx)
	}
}

// relay sends signals on to container id until ctx ends. One that has ended takes none, which is no fault.
func (a *Access) relay(ctx context.Context, id string, signals <-chan syscall.Signal) {
	for {
		select {
		case sig := <-signals:
			if err := a.drivers.Containers.Kill(ctx, id, sig); err != nil && !inventory.RunsNoMore(err) && ctx.Err() == nil {
				a.log.Warn("a signal was not sent on", "container", objectid.Short(id), "signal", sig.String(), "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// redrawn is changes after two others, of which the second is size: a program that draws on its terminal does it anew when that has changed. Without a size
// it is changes.
func redrawn(ctx context.Context, size process.WinSize, changes <-chan process.WinSize) <-chan process.WinSize {
	if size.Rows == 0 || size.Cols == 0 {
		return changes
	}
	out := make(chan process.WinSize, 2)
	out <- process.WinSize{Rows: size.Rows + 1, Cols: size.Cols + 1}
	out <- size
	go func() {
		for {
			select {
			case s := <-changes:
				select {
				case out <- s:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
