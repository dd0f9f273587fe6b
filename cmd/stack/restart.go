package main

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile"
)

func newRestartCommand(a *app) *cobra.Command {
	var o reconcile.ServiceOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Restart containers",
		Long:  "Stops and starts containers, and those whose depends_on asks for it. Changes of the file do not count: `stack up` applies them.",
		RunE: func(cmd *cobra.Command, services []string) error {
			o.Timeout = timeoutFlag(cmd, timeout)
			return a.lifecycle(cmd.Context(), services, o, (*client.Client).Restart)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.NoDeps, "no-deps", false, "Leave services alone that depend on the named ones")
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}
