package main

import (
	"time"

	"github.com/spf13/cobra"

	"fmt"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/reconcile/ask"
)

func newStartCommand(a *app) *cobra.Command {
	var o ask.ServiceOptions
	var seconds int
	cmd := &cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Start containers that were stopped or only created",
		RunE: func(cmd *cobra.Command, services []string) error {
			if seconds != 0 && !o.Wait {
				return fmt.Errorf("--wait-timeout needs --wait")
			}
			o.WaitTimeout = time.Duration(seconds) * time.Second
			o.Command = a.command()
			return a.lifecycle(cmd.Context(), services, o, (*client.Client).Start)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Wait, "wait", false, "Return when everything runs and is healthy")
	f.IntVar(&seconds, "wait-timeout", 0, "With --wait: give up after this many seconds")
	return cmd
}
