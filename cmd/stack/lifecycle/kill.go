package lifecycle

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewKillCommand makes the command kill.
func NewKillCommand(run *cli.Run) *cobra.Command {
	var o ask.ServiceOptions
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers, SIGKILL unless said",
		RunE: func(cmd *cobra.Command, services []string) error {
			if _, err := signals.Parse(o.Signal); err != nil {
				return fmt.Errorf("invalid --signal %q: %w", o.Signal, err)
			}
			return act(cmd.Context(), run, services, o, (*client.Client).Kill)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Signal, "signal", "s", "SIGKILL", "The signal: a name with or without SIG, or a number")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	return cmd
}
