package lifecycle

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// Kill sends sig to the init of c and tells of it; it waits for no end. That it is about to be sent is told before: who sees the end that comes of it may be faster
// than who sent it. After SIGKILL no policy starts c again: whoever sends it has recorded that before. Not running = success, as with the driver. One that has gone
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
