package single

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/supervise"
)

// WaitFor is what a wait is for.
type WaitFor uint8

const (
	NotRunning WaitFor = iota // it does not run: at once if that is so
	NextExit                  // its run ends, or the next one if it does not run
	Removed                   // it is deleted
)

// WaitEnd is how the container that was waited for has ended.
type WaitEnd struct {
	Code  int
	Error string // why it could not be run; "" = it could, or the wait was for its removal
}

// Wait begins to wait for a container: what happens from its return on is not missed. wait returns when it has come about, or with ctx.
func (cs *Containers) Wait(ctx context.Context, ref string, what WaitFor) (wait func(context.Context) (WaitEnd, error), err error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return nil, err
	}
	ending := cs.group.Ending(c.ID)
	if ending == nil {
		cs.group.Known(c.ID, c.Supervision(), inventory.ExitOf(c.Exit))
		if ending = cs.group.Ending(c.ID); ending == nil {
			return nil, errdefs.With(errdefs.ErrUnavailable, errors.New("the daemon is ending"))
		}
	}
	name := c.Name
	return func(ctx context.Context) (WaitEnd, error) {
		defer cs.turns.Enter()()
		var exit *supervise.Exit
		var err error
		switch {
		case what == NotRunning && !ending.Runs():
			exit = ending.Last()
		case what == Removed:
			exit, err = ending.Forgotten(ctx)
		default:
			exit, err = ending.Next(ctx)
		}
		if err != nil {
			return WaitEnd{}, fmt.Errorf("cannot wait for container %s: %w", name, err)
		}
		switch {
		case exit == nil:
			return WaitEnd{}, nil
		case what == Removed: // which has come about; the client takes an error for one of that, and who started the container was told
			return WaitEnd{Code: exit.Code}, nil
		}
		return WaitEnd{Code: exit.Code, Error: exit.Error}, nil
	}, nil
}
