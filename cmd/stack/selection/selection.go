// Package selection says which services of a project a command is about.
package selection

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec"
)

// WithDependencies adds to services all that they depend on; of none, it gives none, which means all.
func WithDependencies(p *spec.Project, services []string) []string {
	all := Closure(p, services, func(s *spec.Service) []string { return slices.Sorted(maps.Keys(s.DependsOn)) })
	slices.Sort(all)
	return all
}

// Closure is services and all that next leads to from them, each once; what the project does not have is left out.
func Closure(p *spec.Project, services []string, next func(*spec.Service) []string) []string {
	var all []string
	var add func(name string)
	add = func(name string) {
		s := p.Services[name]
		if s == nil || slices.Contains(all, name) {
			return
		}
		all = append(all, name)
		for _, other := range next(s) {
			add(other)
		}
	}
	for _, name := range services {
		add(name)
	}
	return all
}

// Chosen are those that an up of services is about.
func Chosen(p *spec.Project, services []string, noDeps bool) []string {
	switch {
	case len(services) == 0:
		return slices.Sorted(maps.Keys(p.Services))
	case noDeps:
		return services
	}
	return WithDependencies(p, services)
}

// Check says which of the named ones the project does not have, and what it has.
func Check(p *spec.Project, names []string) error {
	for _, n := range names {
		if p.Services[n] == nil && p.Inactive[n] == nil {
			return fmt.Errorf("no such service: %s (the file has %s)", n, strings.Join(Names(p), ", "))
		}
	}
	return nil
}

// CheckActive says which profiles would make services active, where the project has none that is.
func CheckActive(p *spec.Project) error {
	if len(p.Services) > 0 || len(p.Inactive) == 0 {
		return nil
	}
	var profiles []string
	for _, s := range p.Inactive {
		profiles = append(profiles, s.Profiles...)
	}
	slices.Sort(profiles)
	return fmt.Errorf("no service selected: each has a profile, and none of them is active; enable one with --profile (%s), or name a service", strings.Join(slices.Compact(profiles), ", "))
}

// Names are those of all profiles, sorted.
func Names(p *spec.Project) []string {
	names := slices.Concat(slices.Collect(maps.Keys(p.Services)), slices.Collect(maps.Keys(p.Inactive)))
	if len(names) == 0 {
		return []string{"none"}
	}
	slices.Sort(names)
	return names
}
