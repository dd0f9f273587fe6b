package lifecycle

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// RunAttached runs a container to its end. When ctx ends first, the container is stopped.
func (k *Keeper) RunAttached(ctx context.Context, c *inventory.Container, io process.IO, sink event.Sink) (process.Exit, error) {
	aside := context.WithoutCancel(ctx)
	unlock, err := k.Locks.Lock(ctx, c.ID)
	if err != nil {
		return process.Exit{}, err
	}
	var mounted func()
	if err = k.wiring.Connect(ctx, c); err == nil {
		mounted, err = k.mounting(ctx, c)
	}
	unlock() // not held while it runs: stop and kill need it
	if err != nil {
		_ = k.drivers.Networks.Teardown(aside, c.ID) // connect's own error says more
		return process.Exit{}, err
	}
	started := sync.OnceFunc(mounted) // when it runs, or does not come to that
	defer started()
	k.roster.Hold(c.ID, true)
	defer k.roster.Hold(c.ID, false)
	stop := context.AfterFunc(ctx, func() { _ = k.Stop(aside, c, nil, nil) }) // Run below returns what came of it
	defer stop()
	k.Forward.Begin(c)
	defer k.Forward.Ended(c.ID, func() bool { return k.ended(c.ID) })
	var strayed error
	exit, err := k.drivers.Containers.Run(aside, c.ID, io, func(s runtime.State) {
		started()
		if strayed = k.wiring.JoinedAsMeant(aside, c); strayed != nil {
			strayed = errors.Join(strayed, k.drivers.Containers.Kill(aside, c.ID, unix.SIGKILL))
			return
		}
		k.warn(c, s.Warnings, sink)
		k.Forward.Report(ctx, c, sink, false) // what is not known yet is told as an event: the terminal is the container's by then
		k.Watch(c, s.StartedAt, false)
		k.hub.Say(nil, c.Event(event.Done, "Started", "")) // for who listens: to the caller it is no news, whose terminal is the container's by now
		if failed := k.postStart(ctx, c, sink); failed != nil && ctx.Err() == nil {
			if now, err := k.drivers.Containers.State(aside, c.ID); err == nil && now.Status == runtime.Running { // else it has ended before its hooks
				k.hub.Say(sink, c.Event(event.Warning, "Hook failed", failed.Error()))
			}
		}
	})
	if err == nil {
		k.Group.Stopped(c.ID, *inventory.ExitOf(&exit))
		err = strayed
	}
	if down := k.drivers.Networks.Teardown(aside, c.ID); err == nil {
		err = down
	}
	return exit, k.foreign(aside, c, err)
}
