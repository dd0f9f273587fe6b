package main

import (
	"context"
	"slices"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// reach finds out which project is meant and gives its daemon. services are those named on the command line.
func (a *app) reach(ctx context.Context, services []string) (project string, daemon *client.Client, err error) {
	if project, _, err = a.project(ctx, services); err != nil {
		return "", nil, err
	}
	return project, a.connect(), nil
}

// containers are those of the project that is meant.
func (a *app) containers(ctx context.Context, services []string) ([]ask.Container, error) {
	project, daemon, err := a.reach(ctx, services)
	if err != nil {
		return nil, err
	}
	return daemon.Containers(ctx, project)
}

// withDependencies adds to services all that they depend on; of none, it gives none, which means all.
func withDependencies(p *spec.Project, services []string) []string {
	all := closure(p, services, func(s *spec.Service) []string { return sortedKeys(s.DependsOn) })
	slices.Sort(all)
	return all
}

// closure is services and all that next leads to from them, each once; what the project does not have is left out.
func closure(p *spec.Project, services []string, next func(*spec.Service) []string) []string {
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
