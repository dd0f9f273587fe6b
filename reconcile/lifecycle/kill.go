package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// Kill sends sig to the init of c and tells of it; it waits for no end. That it is about to be sent is told before: who sees the end that comes of it may be faster
// than who sent it. After SIGKILL no policy starts c again, also if it was about to: whoever sends it has recorded that before. Not running = success, as with the driver. One that has gone
// meanwhile is told of as one that does not run, and the caller knows it by the error.
func (k *Keeper) Kill(ctx context.Context, c *inventory.Container, sig unix.Signal, sink event.Sink) error {
	say := func(phase event.Phase, text, detail string) {
		ev := c.Event(phase, text, detail)
		ev.Signal = unix.SignalName(sig)
		k.hub.Say(sink, ev)
	}
	if sig == unix.SIGKILL {
		k.Group.Stop(c.ID)
	}
	say(event.Working, "Killing", "")
	if err := k.drivers.Containers.Kill(ctx, c.ID, sig); err != nil {
		err = fmt.Errorf("cannot send %s to container %s: %w", unix.SignalName(sig), c.Name, wording.Cause(err, c.ID, c.Name))
		if inventory.RunsNoMore(err) {
			say(event.Done, "Killed", "")
		} else {
			say(event.Failed, "Error", err.Error())
		}
		return err
	}
	say(event.Done, "Killed", "")
	return nil
}

// KillAndRemove ends c, if it runs, without its hooks, and removes it. One that has gone meanwhile = success.
func (k *Keeper) KillAndRemove(ctx context.Context, c *inventory.Container, volumes bool, sink event.Sink) (err error) {
	k.Group.Stop(c.ID)
	for {
		if c.Alive() {
			// Ahead of who stops it and waits.
			if err = k.Kill(ctx, c, unix.SIGKILL, sink); err == nil {
				err = k.FinishKill(ctx, c)
			}
			if err != nil && !inventory.RunsNoMore(err) {
				return err
			}
		}
		c, err = k.CallOff(ctx, c.ID)
		if errors.Is(err, errdefs.ErrNotFound) {
			return nil // it went with its end
		}
		if err != nil {
			return err
		}
		if !c.Alive() { // else its policy was starting it when its supervision ended
			break
		}
	}
	k.Group.Told(c.ID) // that it has ended, also by itself, before that it is gone
	return k.Remove(ctx, c, volumes, sink)
}
