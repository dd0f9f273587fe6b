package planning

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
)

// Observe adds what the supervisors know.
func (pn *Planner) Observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := inventory.Observe(ctx, pn.Drivers, want)
	if err != nil {
		return nil, err
	}
	pn.Keep.Supervised(have)
	have.Anonymous, err = pn.Interim.KeptAnonymous(want.Project)
	return have, err
}
