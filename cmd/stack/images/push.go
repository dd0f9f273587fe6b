package images

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// NewPushCommand makes the command push.
func NewPushCommand(run *cli.Run) *cobra.Command {
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
			return pushImages(cmd.Context(), run, o, quiet)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Deps, "include-deps", false, "Push for what the named services depend on, too")
	f.BoolVar(&o.IgnoreFailures, "ignore-push-failures", false, "Push what can be pushed; failures are warnings")
	f.BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	return cmd
}

func pushImages(ctx context.Context, run *cli.Run, o ask.PushOptions, quiet bool) error {
	if run.Offline() {
		return fmt.Errorf("cannot push: --offline, or STACK_OFFLINE, keeps this command from registries")
	}
	p, err := run.LoadFor(ctx, spec.ToManage, o.Services)
	if err != nil {
		return err
	}
	inheritPlatform(run, p)
	o.Tags = true // of build.tags, as docker compose does
	return run.Connect().Push(ctx, p, o, run.Quietly(quiet).Event)
}
