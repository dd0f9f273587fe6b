package deploy

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewCreateCommand makes the command create.
func NewCreateCommand(run *cli.Run) *cobra.Command {
	var p planFlags
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create the project without starting it",
		RunE: func(cmd *cobra.Command, services []string) error {
			return createContainers(cmd.Context(), run, p, cmd.Flags().Changed, services)
		},
	}
	p.add(cmd)
	return cmd
}

func createContainers(ctx context.Context, run *cli.Run, flags planFlags, changed func(string) bool, services []string) error {
	if err := flags.check(); err != nil {
		return err
	}
	o := ask.UpOptions{Services: services, NoStart: true, Parallel: run.Flags.Parallel, Offline: run.Offline()}
	if err := flags.fill(&o, run, changed); err != nil {
		return err
	}
	p, err := run.Load(ctx, services)
	if err != nil {
		return err
	}
	if err := selection.Check(p, slices.Sorted(maps.Keys(o.Scale))); err != nil {
		return err
	}
	daemon := run.Connect()
	if p, err = sources.FetchDue(ctx, run, daemon, p, o); err != nil {
		return err
	}
	if err := provision.Provide(ctx, run, daemon, p, o, selection.Chosen(p, services, false)); err != nil {
		return err
	}
	return daemon.Up(ctx, p, o, run.ImageFilter(flags.quietPull, false))
}
