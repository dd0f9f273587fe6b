package lifecycle

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewPauseCommand makes the command pause.
func NewPauseCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "pause [SERVICE...]",
		Short: "Freeze the processes of containers",
		Long: `Freezes all processes of running containers where they are: they keep their memory, connections and ports, and do nothing.
'stack unpause' lets them go on. Meanwhile no health check is run and nothing is restarted; stop, restart, kill and down work.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			return act(cmd.Context(), run, services, ask.ServiceOptions{}, (*client.Client).Pause)
		},
	}
}

// NewUnpauseCommand makes the command unpause.
func NewUnpauseCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "unpause [SERVICE...]",
		Short: "Let paused containers go on",
		RunE: func(cmd *cobra.Command, services []string) error {
			return act(cmd.Context(), run, services, ask.ServiceOptions{}, (*client.Client).Unpause)
		},
	}
}
