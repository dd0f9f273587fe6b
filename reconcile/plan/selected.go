package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/graph"
)

// Selected are services and, unless noDeps, what they depend on; all when services is empty.
func (d *Desired) Selected(services []string, noDeps bool) []string {
	if len(services) == 0 {
		return slices.Sorted(maps.Keys(d.Services))
	}
	g := graph.New(strings.Compare)
	for name, s := range d.Services {
		g.Add(name)
		for dep := range s.DependsOn {
			if !noDeps && d.Services[dep] != nil {
				g.Connect(name, dep)
			}
		}
	}
	return g.Closure(services...)
}
