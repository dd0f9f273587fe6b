package reconcile

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
)

// observe adds what the supervisors know.
func (e *Engine) observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := inventory.Observe(ctx, e.drivers, want)
	if err != nil {
		return nil, err
	}
	e.keep.Supervised(have)
	have.Anonymous, err = e.interim.KeptAnonymous(want.Project)
	return have, err
}
