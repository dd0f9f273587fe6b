package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/reconcile/ask"
)

func newStopCommand(a *app) *cobra.Command {
	var o ask.ServiceOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers without removing them",
		Long:  "Stops running containers. `stack start` starts them again.",
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Timeout = timeoutFlag(cmd, timeout)
			o.Command = a.command()
			return a.stop(cmd.Context(), o, services)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}

func (a *app) stop(ctx context.Context, o ask.ServiceOptions, services []string) error {
	name, file, err := a.project(ctx, services)
	if err != nil {
		return err
	}
	daemon := a.connect()
	return a.takeBack(ctx, file, "stop", services, func(services []string) error {
		o := o
		o.Services = services
		return daemon.Stop(ctx, name, o, a.progress().Event)
	})
}
