package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

func newPushCommand(a *app) *cobra.Command {
	var o ask.PushOptions
	var quiet bool
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] [SERVICE...]",
		Short: "Push the images that services build to their registries",
		Long: `Pushes the images of the named services, or of all, that have both a build and an image: its name says the registry. They must have been built
('stack build --push' does both). Layers that the registry has are not sent again.

Credentials are those that 'docker login' or 'podman login' have stored.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Services = services
			return a.push(cmd.Context(), o, quiet)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Deps, "include-deps", false, "Push for what the named services depend on, too")
	f.BoolVar(&o.IgnoreFailures, "ignore-push-failures", false, "Push what can be pushed; failures are warnings")
	f.BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	return cmd
}

func (a *app) push(ctx context.Context, o ask.PushOptions, quiet bool) error {
	p, err := a.loadFor(ctx, spec.ToManage, o.Services)
	if err != nil {
		return err
	}
	a.inheritPlatform(p)
	o.Tags = true // of build.tags, as docker compose does
	return a.connect().Push(ctx, p, o, a.quietly(quiet).Event)
}
