package planning

import (
	"context"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
)

// Observe adds what the supervisors know.
func (pn *Planner) Observe(ctx context.Context, want *plan.Desired) (*plan.Observed, error) {
	have, err := inventory.Observe(ctx, pn.drivers, want)
	if err != nil {
		return nil, err
	}
	pn.keep.Supervised(have)
	have.Anonymous, err = pn.interim.KeptAnonymous(want.Project)
	return have, err
}

// foreignNames are the names that the file gives to containers and that some have which are not of want's project. Other names begin with the project's.
func (pn *Planner) foreignNames(ctx context.Context, want *plan.Desired) (map[string]plan.Holder, error) {
	names := map[string]plan.Holder{}
	for _, s := range want.Services {
		if s.ContainerName == "" {
			continue
		}
		c, err := pn.names.Holder(ctx, s.ContainerName, want.Project)
		if err != nil {
			return nil, err
		}
		if c != nil {
			names[s.ContainerName] = plan.Holder{ID: c.ID, Project: c.Project}
		}
	}
	return names, nil
}
