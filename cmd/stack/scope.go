package main

import (
	"slices"

	"github.com/stackrun/stack/spec"
)

// withDependencies adds to services all that they depend on; of none, it gives none, which means all.
func withDependencies(p *spec.Project, services []string) []string {
	var all []string
	var add func(name string)
	add = func(name string) {
		s := p.Services[name]
		if s == nil || slices.Contains(all, name) {
			return
		}
		all = append(all, name)
		for _, dep := range sortedKeys(s.DependsOn) {
			add(dep)
		}
	}
	for _, name := range services {
		add(name)
	}
	slices.Sort(all)
	return all
}
