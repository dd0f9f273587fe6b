// Package naming says which container has a name, and reserves a name for whoever is about to take it.
package naming

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/gate"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/roster"
)

// Names are those of all containers on this host. Safe for concurrent use.
type Names struct {
	drivers driver.Set
	roster  *roster.Roster
	locks   *gate.Locks
}

// New are the names of the containers of r, on the host of d. Who holds one works, as far as g is concerned.
func New(d driver.Set, r *roster.Roster, g *gate.Gate) *Names {
	return &Names{drivers: d, roster: r, locks: g.Locks()}
}

// TakenError is why somebody cannot have a name. It comes as an ErrConflict.
type TakenError struct {
	By *inventory.Container // whose it is
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("the name is already in use by container %s, %s", objectid.Short(e.By.ID), e.By.Whose())
}

// Hold makes certain that no container has name, and keeps others from taking it until free is called: whoever holds it makes or renames a container meanwhile, and has
// it in the roster before. One of project besides may have it, "" = none may: what becomes of that is its plan's affair. A *TakenError says who has it.
//
// Who takes the lock of a container too takes it after the name.
func (n *Names) Hold(ctx context.Context, name, besides string) (free func(), err error) {
	free, err = n.locks.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	c, err := n.Holder(ctx, name, besides)
	if err == nil && c != nil {
		err = errdefs.With(errdefs.ErrConflict, &TakenError{By: c})
	}
	if err != nil {
		free()
		return nil, err
	}
	return free, nil
}

// Holder is the container that has name, and is none of project besides; nil = there is none, as long as nobody takes it (Hold).
//
// The roster says who was given it, and the host who is still there: to make a hundred containers is not to look at a hundred for each.
func (n *Names) Holder(ctx context.Context, name, besides string) (*inventory.Container, error) {
	for _, id := range n.roster.Called(name) {
		c, err := inventory.ByID(ctx, n.drivers, id)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue // it is being removed, or other hands did
		}
		if err != nil {
			return nil, err
		}
		if c.Name == name && (besides == "" || c.Project != besides) {
			return c, nil
		}
	}
	return nil, nil
}
