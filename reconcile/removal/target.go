package removal

import (
	"context"
	"slices"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/spec"
)

// target is what a down is to take away.
type target struct {
	project string
	options ask.DownOptions
	members *inventory.Members
	file    *spec.Project          // of the last up; nil = there is none
	gone    []*inventory.Container // those of members that go
	orphans []string               // the names of those of services that file does not have, which stay
}

// target reads what there is of project. It changes nothing.
func (r *Remover) target(ctx context.Context, project string, o ask.DownOptions) (*target, error) {
	m, err := inventory.ListMembers(ctx, r.drivers, project)
	if err != nil {
		return nil, err
	}
	p, err := r.wishes.File(project)
	if err != nil {
		return nil, err
	}
	t := &target{project: project, options: o, members: m, file: p}
	for _, c := range m.List {
		switch {
		case !t.names(c.Service):
		case c.Step != nil && slices.ContainsFunc(m.List, func(of *inventory.Container) bool { return of.ID == c.Step.Of }): // goes with that
		case c.Orphan(p) && !o.RemoveOrphans:
			t.orphans = append(t.orphans, c.Name)
		default:
			t.gone = append(t.gone, c)
		}
	}
	return t, nil
}

// names says whether the down is of service.
func (t *target) names(service string) bool {
	return len(t.options.Services) == 0 || slices.Contains(t.options.Services, service)
}

// meant are the containers that are not to be there after it, of which was is the record: those that go, and those that healing was about to make.
func (t *target) meant(was *wish.Record) []plan.ID {
	ids := inventory.Replicas(t.gone)
	for _, service := range was.Wanted() {
		s := t.file.Services[service]
		if s == nil || !t.names(service) {
			continue
		}
		count, scaled := was.Scale[service]
		if !scaled {
			count = s.Replicas
		}
		for n := 1; n <= count; n++ {
			ids = append(ids, plan.Container(service, n))
		}
	}
	return ids
}
