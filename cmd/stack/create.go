package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/reconcile/ask"
)

func newCreateCommand(a *app) *cobra.Command {
	var p planFlags
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create the project without starting it",
		RunE: func(cmd *cobra.Command, services []string) error {
			return a.create(cmd.Context(), p, cmd.Flags().Changed, services)
		},
	}
	p.add(cmd)
	return cmd
}

func (a *app) create(ctx context.Context, flags planFlags, changed func(string) bool, services []string) error {
	if err := flags.check(); err != nil {
		return err
	}
	o := ask.UpOptions{Services: services, NoStart: true, Parallel: a.parallel()}
	if err := flags.fill(&o, a, changed); err != nil {
		return err
	}
	p, err := a.load(ctx, services)
	if err != nil {
		return err
	}
	if err := selection.Check(p, slices.Sorted(maps.Keys(o.Scale))); err != nil {
		return err
	}
	daemon := a.connect()
	if p, err = a.fetchDue(ctx, daemon, p, o); err != nil {
		return err
	}
	if err := a.provide(ctx, daemon, p, o, selection.Chosen(p, services, false)); err != nil {
		return err
	}
	return daemon.Up(ctx, p, o, a.imageFilter(flags.quietPull, false))
}
