package main

import (
	"context"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile/ask"
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
