package lifecycle

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// NewDownCommand makes the command down.
func NewDownCommand(run *cli.Run) *cobra.Command {
	var o ask.DownOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "down [OPTIONS] [SERVICE...]",
		Short: "Stop and remove the project's containers and networks",
		Long: `Stops and removes the project's containers and networks. Volumes and images stay unless -v and --rmi say
otherwise. With services named, only their containers go.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Services = services
			o.Timeout = cli.Timeout(cmd, timeout)
			return takeDown(cmd.Context(), run, o, cmd.Flags().Changed("remove-orphans"))
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.Volumes, "volumes", "v", false, "Remove the file's named volumes and anonymous volumes, with what they hold")
	f.BoolVar(&o.Volumes, "volume", false, "")
	f.MarkHidden("volume") //nolint:errcheck // it exists
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	f.StringVar(&o.RemoveImages, "rmi", "", "Remove images: all, or local for those without a name of the file's")
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}

func takeDown(ctx context.Context, run *cli.Run, o ask.DownOptions, orphansGiven bool) (err error) {
	switch o.RemoveImages {
	case "", "local", "all":
	default:
		return fmt.Errorf("invalid --rmi value %q, expected local or all", o.RemoveImages)
	}
	o.RemoveOrphans = run.Env.RemoveOrphans(o.RemoveOrphans, orphansGiven)
	name, file, err := run.Project(ctx, o.Services)
	if err != nil {
		return err
	}
	daemon := run.Connect()
	p := run.Progress()
	o.Provided = file != nil
	return provision.TakeBack(ctx, run, file, "down", o.Services, func(services []string) error {
		o, some := o, false
		o.Services = services
		err := daemon.Down(ctx, name, o, func(e event.Event) { some = true; p.Event(e) })
		if err == nil && !some {
			run.Warn("nothing to remove: project %q has no containers, networks or volumes here", name)
		}
		return err
	})
}
