package inventory

import (
	"cmp"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// pairUp finds in list the containers that are made to replace others, and says of each two which is spare: a command on the
// service means the other. While the predecessor runs it is in charge; when it has been stopped, the successor is, unless
// that never ran. The one that has, or had, the name longer is shown under another (plan.OldName), so that a name means one.
func pairUp(list []*Container) {
	byID := map[string]*Container{}
	for _, c := range list {
		byID[c.ID] = c
	}
	for _, new := range list {
		old := byID[new.Succeeds]
		if old == nil || old.Project != new.Project || old.Service != new.Service || old.Number != new.Number {
			continue
		}
		runs := old.Alive()
		new.Spare = runs || new.Status == runtime.Created
		old.Spare = !new.Spare
		if new.Status == runtime.Created {
			new.shown = plan.OldName(new.ID, new.Name)
		} else {
			old.shown = plan.OldName(old.ID, old.Name)
		}
	}
}

// order puts those that are not spare first.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// RowName is what lists show: containers of one number have names of their own.
func (c *Container) RowName() string { return cmp.Or(c.shown, c.Name) }
