package plan

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/graph"
)

// ofWhatIsThere begins the plan of a command that needs no file: the containers of have are what there is, and on says what each service depends
// on. It returns the services, dependencies first, and on; nothing instead of it when that is a circle.
func ofWhatIsThere(project string, have *Observed, on map[string]map[string]Dependency, timeout *time.Duration) (*builder, []string, map[string]map[string]Dependency) {
	b := &builder{
		want: &Desired{Project: project, Services: map[string]*Service{}}, have: have, opt: Options{Timeout: timeout},
		decided: map[string]*decision{}, waits: map[waitKey]int{},
	}
	all := graph.New(strings.Compare)
	for _, c := range have.Containers {
		all.Add(c.Service)
	}
	for name, needs := range on {
		for dep := range needs {
			all.Connect(name, dep)
		}
	}
	order, err := all.Order()
	if err != nil { // labels of another program's making; better in any order than not at all
		on, order = nil, all.Nodes()
	}
	return b, order, on
}

// take makes d part of the plan, if there is anything in it. Precondition: what its service depends on is taken.
func (b *builder) take(d *decision) {
	if len(d.replicas) > 0 {
		b.decided[d.service.Name], b.want.Services[d.service.Name] = d, d.service
		b.order = append(b.order, d.service.Name)
	}
}

// carriedOut is the plan of what was taken: stops, dependents first, then starts, what they depend on first.
func (b *builder) carriedOut(on map[string]map[string]Dependency) *Plan {
	b.dependencies(on)
	for _, name := range b.order {
		b.emitReady(b.decided[name])
	}
	for _, name := range slices.Backward(b.order) {
		b.emitStops(b.decided[name])
	}
	for _, name := range b.order {
		b.emitStarts(b.decided[name])
	}
	b.listContainers()
	return &Plan{Project: b.want.Project, Changes: b.changes, Steps: b.sorted()}
}

// dependencies connects the chosen services. Two that depend on each other through one that is not chosen keep their order.
func (b *builder) dependencies(on map[string]map[string]Dependency) {
	b.deps = graph.New(strings.Compare)
	for _, name := range b.order {
		s := b.want.Services[name]
		s.DependsOn = map[string]Dependency{}
		b.deps.Add(name)
		seen := map[string]bool{}
		var through func(needs map[string]Dependency, direct bool)
		through = func(needs map[string]Dependency, direct bool) {
			for _, dep := range slices.Sorted(maps.Keys(needs)) {
				switch {
				case b.decided[dep] != nil && direct:
					s.DependsOn[dep] = needs[dep]
				case b.decided[dep] != nil:
					if _, ok := s.DependsOn[dep]; !ok {
						s.DependsOn[dep] = Dependency{Condition: Started}
					}
				case !seen[dep]:
					seen[dep] = true
					through(on[dep], false)
				}
			}
		}
		through(on[name], true)
		for dep := range s.DependsOn {
			b.deps.Connect(name, dep)
		}
	}
}
