package reconcile

import (
	"cmp"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// pairUp finds in list the containers that replace others in a rolling update, and says of each two which is spare: a command on the
// service means the other. While the predecessor runs it is in charge; when it has been stopped, the successor is, unless
// that never ran. The one that has, or had, the name longer is shown under another (plan.OldName), so that a name means one.
func pairUp(list []*container) {
	byID := map[string]*container{}
	for _, c := range list {
		byID[c.ID] = c
	}
	for _, new := range list {
		old := byID[new.succeeds]
		if old == nil || old.project != new.project || old.service != new.service || old.number != new.number {
			continue
		}
		runs := old.alive()
		new.spare = runs || new.Status == runtime.Created
		old.spare = !new.spare
		if new.Status == runtime.Created {
			new.shown = plan.OldName(new.ID, new.name)
		} else {
			old.shown = plan.OldName(old.ID, old.name)
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

// rowName is what lists show: containers of one number have names of their own.
func (c *container) rowName() string { return cmp.Or(c.shown, c.name) }
