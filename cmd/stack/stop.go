package main

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile"
)

func newStopCommand(a *app) *cobra.Command {
	var o reconcile.ServiceOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers without removing them",
		Long:  "Stops running containers. `stack start` starts them again.",
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Timeout = timeoutFlag(cmd, timeout)
			return a.lifecycle(cmd.Context(), services, o, (*client.Client).Stop)
		},
	}
	f := cmd.Flags()
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}
