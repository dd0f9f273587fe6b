package lifecycle

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// NewKillCommand makes the command kill.
func NewKillCommand(run *cli.Run) *cobra.Command {
	var o ask.ServiceOptions
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers, SIGKILL unless said",
		RunE: func(cmd *cobra.Command, services []string) error {
			return killContainers(cmd.Context(), run, o, cmd.Flags().Changed("remove-orphans"), services)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Signal, "signal", "s", "SIGKILL", "The signal: a name with or without SIG, or a number")
	f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	return cmd
}

func killContainers(ctx context.Context, run *cli.Run, o ask.ServiceOptions, orphansGiven bool, services []string) (err error) {
	if _, err := signals.Parse(o.Signal); err != nil {
		return fmt.Errorf("invalid --signal %q: %w", o.Signal, err)
	}
	o.RemoveOrphans = run.Env.RemoveOrphans(o.RemoveOrphans, orphansGiven)
	some := false
	err = act(ctx, run, services, o, func(daemon *client.Client, ctx context.Context, project string, o ask.ServiceOptions, sink event.Sink) error {
		return daemon.Kill(ctx, project, o, func(e event.Event) { some = some || e.Phase != event.Warning; sink(e) })
	})
	if err == nil && !some {
		fmt.Fprintln(run.Err, "No container to kill") // docker compose's words
	}
	return err
}
