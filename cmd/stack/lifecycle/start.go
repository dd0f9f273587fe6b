package lifecycle

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewStartCommand makes the command start.
func NewStartCommand(run *cli.Run) *cobra.Command {
	var o ask.ServiceOptions
	var seconds int
	cmd := &cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Start containers that were stopped or only created, and what they depend on",
		RunE: func(cmd *cobra.Command, services []string) error {
			if seconds != 0 && !o.Wait {
				return fmt.Errorf("--wait-timeout needs --wait")
			}
			o.WaitTimeout = time.Duration(seconds) * time.Second
			o.Command = run.Command()
			return act(cmd.Context(), run, services, o, (*client.Client).Start)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Wait, "wait", false, "Return when everything runs and is healthy")
	f.IntVar(&seconds, "wait-timeout", 0, "With --wait: give up after this many seconds")
	return cmd
}
