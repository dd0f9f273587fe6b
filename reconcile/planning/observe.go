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

// foreignNames are the names of the containers that are not of want's project. They are looked up where the file says how a container is called: other names begin with the project's.
func (pn *Planner) foreignNames(ctx context.Context, want *plan.Desired) (map[string]plan.Holder, error) {
	named := false
	for _, s := range want.Services {
		named = named || s.ContainerName != ""
	}
	if !named {
		return nil, nil
	}
	all, err := inventory.List(ctx, pn.Drivers, "")
	if err != nil {
		return nil, err
	}
	names := map[string]plan.Holder{}
	for _, c := range all {
		if c.Project != want.Project {
			names[c.Name] = plan.Holder{ID: c.ID, Project: c.Project}
		}
	}
	return names, nil
}
