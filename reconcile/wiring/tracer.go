package wiring

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
)

// untraced refuses to start c in the pid namespace of owner while somebody is there who may look into every process (ADR 31). Of a file alone the loader has said so
// before (spec.CheckSharedPIDs); others join by container:NAME.
func (w *Wiring) untraced(ctx context.Context, c, owner *inventory.Container) error {
	list, err := inventory.List(ctx, w.drivers, "")
	if err != nil {
		return err
	}
	home := pidsOf(list, owner)
	for _, other := range list {
		if other.ID == c.ID || other.ID == c.Succeeds || !other.Alive() || !traces(other) || pidsOf(list, other) != home {
			continue
		}
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s, in the process ID namespace of %s, has SYS_PTRACE and could take over what starts there: stop it, or start it without SYS_PTRACE (or privileged)", other.Name, owner.Name))
	}
	return nil
}

// pidsOf is the id of the container whose pid namespace c lives in, or host.
func pidsOf(list []*inventory.Container, c *inventory.Container) string {
	for range list { // nobody joins in a circle: who is joined runs
		var next *inventory.Container
		if c.Spec.PID == "host" {
			return "host"
		} else if service, ok := strings.CutPrefix(c.Spec.PID, "service:"); ok {
			if i := slices.IndexFunc(list, func(o *inventory.Container) bool {
				return o.Project == c.Project && o.Service == service && !o.OneOff && o.Alive()
			}); i >= 0 {
				next = list[i]
			}
		} else if ref, ok := strings.CutPrefix(c.Spec.PID, ByContainer); ok {
			next, _ = inventory.PickByRef(list, ref) // nil: it is gone, and its namespace with it
		}
		if next == nil {
			break
		}
		c = next
	}
	return c.ID
}

// traces says whether c has CAP_SYS_PTRACE.
func traces(c *inventory.Container) bool {
	return c.Config != nil && c.Config.Spec != nil && c.Config.Spec.Process != nil && c.Config.Spec.Process.Capabilities != nil && slices.Contains(c.Config.Spec.Process.Capabilities.Bounding, "CAP_SYS_PTRACE")
}
