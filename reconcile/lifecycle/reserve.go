package lifecycle

import (
	"context"
	"fmt"
	"os"

	"github.com/stackrun/stack/reconcile/inventory"
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
