package lifecycle

import (
	"context"
	"fmt"
	"os"

	"github.com/stackrun/stack/reconcile/inventory"
)

// MissingSource is a bind whose source has gone since its container was made.
type MissingSource struct {
	Index  int // in the service's volumes
	Target string
	Err    error
}

func (m *MissingSource) Error() string {
	return fmt.Sprintf("the source of its mount at %s is not there: %v; create it first", m.Target, m.Err)
}

func (m *MissingSource) Unwrap() error { return m.Err }

// Reserve makes certain, as far as can be known, that container id can be started again once it was stopped: what it mounts of the host is there (a *MissingSource else), and the disk has
// room for what is recorded of a start. ErrNotFound when it is not there.
func (k *Keeper) Reserve(ctx context.Context, id string) error {
	c, err := inventory.ByID(ctx, k.drivers, id)
	if err != nil {
		return err
	}
	sources := map[string]string{} // by target, as they are mounted
	for _, m := range c.Config.Mounts {
		if m.Type == "bind" {
			sources[m.Target] = m.Source
		}
	}
	for i, m := range c.Spec.Mounts {
		source := sources[m.Target]
		if m.Type != "bind" || source == "" {
			continue
		}
		if _, err := os.Stat(source); err != nil {
			return &MissingSource{Index: i, Target: m.Target, Err: err}
		}
	}
	return k.drivers.Containers.Reserve(ctx, id)
}
