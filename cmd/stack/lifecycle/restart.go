package lifecycle

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/preview"
	"github.com/stackrun/stack/reconcile/ask"
)

type restartFlags struct {
	ask.ServiceOptions
	dryRun bool
	format string
}

// NewRestartCommand makes the command restart.
func NewRestartCommand(run *cli.Run) *cobra.Command {
	var r restartFlags
	var timeout int
	cmd := &cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Restart containers",
		Long: `Stops containers, dependents before what they depend on, and starts them again, what they depend on first and healthy where depends_on says
so; with them those that depend on them with restart: true. Changes of the file do not count: 'stack up' applies them. What a restart
has stopped comes up again also when the restart fails, or you end it.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			r.Timeout = cli.Timeout(cmd, timeout)
			return restartContainers(cmd.Context(), run, r, services)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.NoDeps, "no-deps", false, "Leave services alone that depend on the named ones")
	f.IntVarP(&timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	f.BoolVar(&r.dryRun, "dry-run", false, "Change nothing: say what would be done and why, and end with 2 if it is something")
	f.StringVar(&r.format, "format", "", "With --dry-run: text or json (default text)")
	return cmd
}

func restartContainers(ctx context.Context, run *cli.Run, r restartFlags, services []string) error {
	if r.format != "" && !r.dryRun {
		return fmt.Errorf("--format needs --dry-run")
	}
	if err := formatter.CheckTextOrJSON(r.format); err != nil {
		return err
	}
	r.Command = run.Command()
	if !r.dryRun {
		return act(ctx, run, services, r.ServiceOptions, (*client.Client).Restart)
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	r.Services = services
	found, err := daemon.PlanRestart(ctx, name, r.ServiceOptions)
	if err != nil {
		return err
	}
	return preview.Show(run, found, r.format)
}
