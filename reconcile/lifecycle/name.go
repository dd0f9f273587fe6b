package lifecycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// LockName keeps others from making a container called name until unlock is called.
func (k *Keeper) LockName(ctx context.Context, name string) (unlock func(), err error) {
	return k.Locks.Lock(ctx, "name "+name)
}

// takeName finds out that no container of somebody else has the name of the one that is to be made of d, and keeps others from taking it until free is called. What
// of d's own project has it is the plan's affair.
func (k *Keeper) takeName(ctx context.Context, d *Draft) (free func(), err error) {
	free, err = k.LockName(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	if d.Service.ContainerName == "" { // the project's name is in it: nobody has it but by will, and a hundred containers need not look at a hundred
		err = k.roster.Free(d.Name)
	} else {
		err = k.nameFree(ctx, d)
	}
	if err != nil {
		free()
		return nil, err
	}
	return free, nil
}

func (k *Keeper) nameFree(ctx context.Context, d *Draft) error {
	list, err := inventory.List(ctx, k.drivers, "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(c *inventory.Container) bool { return c.Name == d.Name && c.Project != d.Project })
	if i < 0 {
		return nil
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("the name is already in use by container %s, %s; container_name gives this one another name", wording.ShortID(list[i].ID), list[i].Whose()))
}
