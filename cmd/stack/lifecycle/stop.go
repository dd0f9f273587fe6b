package lifecycle

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewStopCommand makes the command stop.
func NewStopCommand(run *cli.Run) *cobra.Command {
	var o ask.ServiceOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers without removing them",
		Long:  "Stops running containers. `stack start` starts them again.",
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Timeout = cli.Timeout(cmd, timeout)
			o.Command = run.Command()
			return stopContainers(cmd.Context(), run, o, services)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}

func stopContainers(ctx context.Context, run *cli.Run, o ask.ServiceOptions, services []string) error {
	name, file, err := run.Project(ctx, services)
	if err != nil {
		return err
	}
	daemon := run.Connect()
	return provision.TakeBack(ctx, run, file, "stop", services, func(services []string) error {
		o := o
		o.Services, o.Known = services, file != nil
		return daemon.Stop(ctx, name, o, run.Progress().Event)
	})
}
