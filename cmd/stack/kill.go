package main

import (
	"github.com/spf13/cobra"

	"fmt"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/ask"
)

func newKillCommand(a *app) *cobra.Command {
	var o ask.ServiceOptions
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers, SIGKILL unless said",
		RunE: func(cmd *cobra.Command, services []string) error {
			if _, err := signals.Parse(o.Signal); err != nil {
				return fmt.Errorf("invalid --signal %q: %w", o.Signal, err)
			}
			return a.lifecycle(cmd.Context(), services, o, (*client.Client).Kill)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Signal, "signal", "s", "SIGKILL", "The signal: a name with or without SIG, or a number")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	return cmd
}
