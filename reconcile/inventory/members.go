package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// Members are the containers of a project and the order of their services, read from labels: no file is needed.
type Members struct {
	List []*Container
	deps *graph.Graph[string]
	edge map[[2]string]plan.Dependency // {dependent, dependency}
}

// ListMembers are the members of project.
func ListMembers(ctx context.Context, d driver.Set, project string) (*Members, error) {
	list, err := List(ctx, d, project)
	if err != nil {
		return nil, err
	}
	return membersOf(list), nil
}

func membersOf(list []*Container) *Members {
	m := &Members{List: list, deps: graph.New(strings.Compare), edge: map[[2]string]plan.Dependency{}}
	for _, c := range list {
		m.deps.Add(c.Service)
		for part := range strings.SplitSeq(c.Labels[label.DependsOn], ",") {
			// svc:condition:restart, as docker compose writes it.
			f := strings.Split(part, ":")
			if len(f) != 3 {
				continue
			}
			m.deps.Connect(c.Service, f[0])
			m.edge[[2]string{c.Service, f[0]}] = plan.Dependency{Condition: plan.Condition(f[1]), Restart: f[2] == "true", Required: true}
		}
	}
	return m
}

// Of are the lasting containers of services, all when that is empty.
func (m *Members) Of(services []string) []*Container {
	var found []*Container
	for _, c := range m.List {
		if !c.OneOff && (len(services) == 0 || slices.Contains(services, c.Service)) {
			found = append(found, c)
		}
	}
	return found
}

// Absent are those of services that have no container, not even of a run.
func (m *Members) Absent(services []string) []string {
	var absent []string
	for _, s := range services {
		if !slices.ContainsFunc(m.List, func(c *Container) bool { return c.Service == s }) {
			absent = append(absent, s)
		}
	}
	return absent
}

// TellAbsent warns of those of services that have no container: of a verb that has nothing to do for them this is all that comes.
func (m *Members) TellAbsent(project string, services []string, sink event.Sink) {
	if sink == nil {
		return
	}
	for _, s := range m.Absent(services) {
		sink(event.Event{Project: project, Kind: "service", Name: s, Service: s, Phase: event.Warning, Text: "No container"})
	}
}

// Users are the services that depend on service.
func (m *Members) Users(service string) []string { return m.deps.Users(service) }

// Each calls do for every container, side by side but for the order of services: backwards, dependents first; else what
// they depend on first. All are tried whatever fails.
func (m *Members) Each(ctx context.Context, list []*Container, backwards bool, do func(*Container) error) error {
	order, err := m.deps.Order()
	if err != nil {
		order = m.deps.Nodes() // labels of another program's making; better in any order than not at all
	}
	byService := map[string][]*Container{}
	for _, c := range list {
		byService[c.Service] = append(byService[c.Service], c)
	}
	ended := map[string]chan struct{}{}
	for _, s := range order {
		ended[s] = make(chan struct{})
	}
	errs := make(chan error, len(list))
	for _, s := range order {
		before := m.deps.Needs(s)
		if backwards {
			before = m.deps.Users(s)
		}
		go func() {
			defer close(ended[s])
			if err == nil {
				for _, b := range before {
					<-ended[b]
				}
			}
			var work errgroup.Group
			for _, c := range byService[s] {
				work.Go(func() error {
					if ctx.Err() != nil {
						errs <- context.Cause(ctx)
					} else if err := do(c); err != nil {
						errs <- err
					}
					return nil
				})
			}
			_ = work.Wait() // its functions return nil
		}()
	}
	for _, s := range order {
		<-ended[s]
	}
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(all...)
}

// DependsOn is what each service needs. Labels do not say what it can do without; p does, if it has the service.
func (m *Members) DependsOn(p *spec.Project) map[string]map[string]plan.Dependency {
	on := map[string]map[string]plan.Dependency{}
	for pair, dep := range m.edge {
		if p != nil && p.Services[pair[0]] != nil {
			if d, ok := p.Services[pair[0]].DependsOn[pair[1]]; ok {
				dep.Required = d.Required
			}
		}
		if on[pair[0]] == nil {
			on[pair[0]] = map[string]plan.Dependency{}
		}
		on[pair[0]][pair[1]] = dep
	}
	return on
}
