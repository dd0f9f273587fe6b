package images

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// NewPullCommand makes the command pull.
func NewPullCommand(run *cli.Run) *cobra.Command {
	var policy string
	var quiet, includeDeps, ignoreFailures, ignoreBuildable bool
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] [SERVICE...]",
		Short: "Pull the services' images",
		Long: `Pulls the images of the named services, or of all.

With --offline nothing is asked of anybody: it names the images that are not on this host, and ends with 1 if there are any.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			switch policy {
			case "", "missing", "always":
			default:
				return fmt.Errorf("invalid --policy value %q, expected missing or always", policy)
			}
			if cmd.Flags().Changed("no-parallel") {
				return fmt.Errorf("--no-parallel is not supported: images are pulled side by side")
			}
			return pullImages(cmd.Context(), run, services, policy, quiet, includeDeps, ignoreFailures, ignoreBuildable)
		},
	}
	f := cmd.Flags()
	f.StringVar(&policy, "policy", "", "missing or always (default: always, but for services that say never)")
	f.BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	f.BoolVar(&includeDeps, "include-deps", false, "Pull for what the named services depend on, too")
	f.BoolVar(&ignoreFailures, "ignore-pull-failures", false, "Pull what can be pulled; failures are warnings")
	f.BoolVar(&ignoreBuildable, "ignore-buildable", false, "Not the images of services that have a build")
	f.Bool("no-parallel", false, "")
	f.MarkHidden("no-parallel") //nolint:errcheck // it exists
	return cmd
}

// pullable are the services, or all when none is named, that have an image to pull: one that is only built has none.
func pullable(p *spec.Project, services []string, ignoreBuildable bool) []string {
	if len(services) == 0 {
		services = slices.Sorted(maps.Keys(p.Services))
	}
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool {
		s := p.Services[name]
		return s != nil && (s.Image == "" || ignoreBuildable && s.Build != nil)
	})
}

func pullImages(ctx context.Context, run *cli.Run, services []string, policy string, quiet, includeDeps, ignoreFailures, ignoreBuildable bool) error {
	p, err := run.LoadFor(ctx, spec.ToManage, services)
	if err != nil {
		return err
	}
	if includeDeps {
		services = selection.WithDependencies(p, services)
	}
	if services = pullable(p, services, ignoreBuildable); len(services) == 0 {
		return nil
	}
	if run.Offline() {
		policy = ask.PullOffline
	}
	daemon := run.Connect()
	show := run.Quietly(quiet).Event
	if !ignoreFailures {
		return daemon.Pull(ctx, p, services, policy, show)
	}
	// One by one: a failure of one must not end the others, and all failures are to be told.
	for _, s := range services {
		if err := daemon.Pull(ctx, p, []string{s}, policy, show); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			run.EndProgress()
			run.Warn("%s", err)
		}
	}
	return nil
}
