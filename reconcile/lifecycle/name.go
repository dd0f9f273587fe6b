package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/reconcile/naming"
)

// takeName keeps others from taking the name of the container that is to be made of d until free is called. ErrConflict when somebody has it.
func (k *Keeper) takeName(ctx context.Context, d *Draft) (free func(), err error) {
	besides := d.Project // who of that has it is the plan's affair
	if d.Named {
		besides = ""
	}
	free, err = k.names.Hold(ctx, d.Name, besides)
	taken := (*naming.TakenError)(nil)
	if !errors.As(err, &taken) {
		return free, err
	}
	mend := "container_name gives this one another name"
	switch {
	case d.Named:
		mend = "remove that or choose another name"
	case taken.By.Alone != nil:
		mend = fmt.Sprintf("`docker rm %s` removes it, and %s", d.Name, mend)
	}
	return nil, fmt.Errorf("%w; %s", err, mend)
}
