package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewScaleCommand makes the command scale.
func NewScaleCommand(run *cli.Run) *cobra.Command {
	var noDeps bool
	cmd := &cobra.Command{
		Use:   "scale [OPTIONS] SERVICE=N...",
		Short: "Run another number of containers of services",
		Long: `Starts or removes containers until each service has as many as are asked for; the highest numbers go first. What a service depends on is started, too.
It is 'stack up --detach --scale' for these services.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("scale needs a service and a number: stack scale SERVICE=N...")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return scaleServices(cmd.Context(), run, noDeps, args) },
		ValidArgsFunction: func(cmd *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
			return completeScale(run, cmd, before, typed)
		},
	}
	cmd.Flags().BoolVar(&noDeps, "no-deps", false, "Leave services alone that the named ones depend on")
	return cmd
}

func scaleServices(ctx context.Context, run *cli.Run, noDeps bool, args []string) error {
	scale, err := parseScale("argument", args)
	if err != nil {
		return err
	}
	services := slices.Sorted(maps.Keys(scale))
	o := ask.UpOptions{
		Services: services, Scale: scale, NoDeps: noDeps, Parallel: run.Flags.Parallel, IgnoreOrphans: run.Env.Truthy("COMPOSE_IGNORE_ORPHANS"), Command: run.Command(),
		Offline: run.Offline(),
	}
	if o.Ports, err = run.Env.HostPorts(false, false); err != nil {
		return err
	}
	p, err := run.Load(ctx, services)
	if err != nil {
		return err
	}
	daemon := run.Connect()
	if p, err = sources.FetchDue(ctx, run, daemon, p, o); err != nil {
		return err
	}
	if err := provision.Provide(ctx, run, daemon, p, o, selection.Chosen(p, services, noDeps)); err != nil {
		return err
	}
	return daemon.Up(ctx, p, o, run.ImageFilter(false, false))
}

// completeScale gives the services that do not stand on the line yet, with the sign that a number follows.
func completeScale(run *cli.Run, cmd *cobra.Command, before []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		return nil, cobra.ShellCompDirectiveNoFileComp // nobody knows how many
	}
	var named []string
	for _, word := range before {
		name, _, _ := strings.Cut(word, "=")
		named = append(named, name)
	}
	all := run.Services(cmd, named)
	for i := range all {
		all[i] += "="
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
