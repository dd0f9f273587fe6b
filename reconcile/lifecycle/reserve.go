package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// Reserve makes certain, as far as can be known, that container id can be started again once it was stopped: what it mounts of the host is there or may be made, and the disk has
// room for what is recorded of a start. ErrNotFound when it is not there.
func (k *Keeper) Reserve(ctx context.Context, id string) error {
	c, err := inventory.ByID(ctx, k.drivers, id)
	if err != nil {
		return err
	}
	sources := map[string]string{} // by target, as they are mounted
	for _, m := range c.Config.Mounts {
		if m.Type == "bind" && !m.MakeSource {
			sources[m.Target] = m.Source
		}
	}
	for _, m := range c.Spec.Mounts {
		source := sources[m.Target]
		if m.Type != "bind" || source == "" {
			continue
		}
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("the source of its mount at %s is not there: %w; create it first", m.Target, err)
		}
	}
	return k.drivers.Containers.Reserve(ctx, id)
}

// keepRoom keeps room on the disk for what is recorded of the next start of c, which runs, if its policy may make it: what fills the disk meanwhile is not to keep c down. Nobody waits for it.
func (k *Keeper) keepRoom(c *inventory.Container) {
	if !c.Spec.Restart.Again(1) {
		return
	}
	k.Go(func() {
		err := k.drivers.Containers.Reserve(k.life, c.ID)
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) && k.life.Err() == nil {
			k.log.Warn("there may be no room for the next start of a container", "container", c.Name, "error", err)
		}
	})
}

// noRoom says whether err, of a start, is that the host has nothing left of what it takes: room on a disk for what is recorded of it, processes, namespaces, open files.
func noRoom(err error) bool {
	if start := (*runtime.StartError)(nil); errors.As(err, &start) {
		return start.HostLacks()
	}
	return slices.ContainsFunc([]error{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.EAGAIN}, func(lack error) bool { return errors.Is(err, lack) })
}
