package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/graph"
)

// RestartOptions are what a user asks of a restart. It needs no file: the containers say what they depend on.
type RestartOptions struct {
	DependsOn map[string]map[string]Dependency // by service; a circle counts as none
	Services  []string                         // empty = all
	NoDeps    bool                             // leave those alone that depend on Services with restart: true
	Timeout   *time.Duration                   // of stops; nil = each container's own

	// Resume is the rest of a restart that was cut short: what runs was started again, or not stopped yet. Owed are the containers that it
	// has stopped, or was about to.
	Resume bool
	Owed   map[ID]bool
}

// BuildRestart stops lasting containers, dependents before what they depend on, and starts them again, what they depend on first and ready. One
// that does not run is started. A dependency that is not restarted itself is not waited for: its dependents have lived with it as it is until now.
//
// A plan of Build does the same with those that it restarts; the steps are made by the same functions. Precondition: of containers with
// one number, have has the one that commands mean.
func BuildRestart(project string, have *Observed, opt RestartOptions) *Plan {
	b := &builder{
		want: &Desired{Project: project, Services: map[string]*Service{}}, have: have, opt: Options{Timeout: opt.Timeout},
		decided: map[string]*decision{}, waits: map[waitKey]int{},
	}
	all := graph.New(strings.Compare)
	for _, c := range have.Containers {
		all.Add(c.Service)
	}
	for name, needs := range opt.DependsOn {
		for dep := range needs {
			all.Connect(name, dep)
		}
	}
	order, err := all.Order()
	if err != nil { // labels of another program's making; better in any order than not at all
		opt.DependsOn, order = nil, all.Nodes()
	}
	for _, name := range order {
		if d := b.restarted(name, opt); len(d.replicas) > 0 {
			b.decided[name], b.want.Services[name] = d, d.service
			b.order = append(b.order, name)
		}
	}
	b.dependencies(opt.DependsOn)
	for _, name := range slices.Backward(b.order) {
		b.emitStops(b.decided[name])
	}
	for _, name := range b.order {
		b.emitStarts(b.decided[name])
	}
	b.listContainers()
	return &Plan{Project: project, Changes: b.changes, Steps: b.sorted()}
}

// restarted decides about the containers of a service. Precondition: what it depends on is decided.
func (b *builder) restarted(name string, opt RestartOptions) *decision {
	why := Reason{Path: "`stack restart` asked for it"}
	named := len(opt.Services) == 0 || slices.Contains(opt.Services, name)
	follows := ""
	if !named && !opt.NoDeps {
		for _, dep := range sortedKeys(opt.DependsOn[name]) {
			if d := b.decided[dep]; d != nil && opt.DependsOn[name][dep].Restart {
				follows = dep
				why = Reason{Path: fmt.Sprintf("%s, which it depends on with restart: true, is restarted", dep)}
				break
			}
		}
	}
	d := &decision{service: &Service{Name: name}}
	for _, c := range b.containersOf(name) {
		owed := opt.Owed[c.id()]
		switch {
		case !named && follows == "" && !(opt.Resume && owed):
			continue
		case opt.Resume && c.Active():
			continue
		case !named && !c.Active() && !owed: // nobody has asked for one that was down
			continue
		}
		r := &replica{number: c.Replica, name: c.Name, have: c, action: Start, reasons: []Reason{why}}
		switch {
		case opt.Resume:
			r.reasons = []Reason{CutShort}
		case c.Active():
			r.action = Restart
		}
		d.replicas = append(d.replicas, r)
	}
	return d
}

// CutShort is the reason for the start of a container that was stopped to be started again.
var CutShort = Reason{Path: "its restart was cut short"}

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
