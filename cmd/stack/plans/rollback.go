package plans

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/preview"
	"github.com/stackrun/stack/reconcile/ask"
)

type rollbackFlags struct {
	dryRun      bool
	format      string
	wait        bool
	waitTimeout int
}

// NewRollbackCommand makes the command rollback.
func NewRollbackCommand(run *cli.Run) *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use:   "rollback [OPTIONS] [N]",
		Short: "Bring the project back as it was applied N steps before (default 1)",
		Long: `Brings back the project as 'stack up' or 'stack apply' last carried it out N steps before the last time, by the same way as an up: only what
differs is changed, in the order of dependencies, and containers of services that it did not have then are removed. Steps that did not
come to their end, and those that asked for the same as the next one, do not count; 'stack history' lists them all.

The Compose file stays as it is: the next 'stack up' does what it says. What configs and secrets read from files, and images whose name
has got another content since, are taken as they are now; data in volumes is not touched.`,
		Args: atMostOneNumber,
		RunE: func(cmd *cobra.Command, args []string) error { return rollBack(cmd.Context(), run, f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.dryRun, "dry-run", false, "Change nothing: say what would be done and why, and end with 2 if it is something")
	flags.StringVar(&f.format, "format", "", "With --dry-run: text or json (default text)")
	flags.BoolVar(&f.wait, "wait", false, "Return when everything runs and is healthy")
	flags.IntVar(&f.waitTimeout, "wait-timeout", 0, "With --wait: give up after this many seconds")
	return cmd
}

func rollBack(ctx context.Context, run *cli.Run, f rollbackFlags, args []string) error {
	switch {
	case f.format != "" && !f.dryRun:
		return fmt.Errorf("--format needs --dry-run")
	case f.waitTimeout != 0 && !f.wait:
		return fmt.Errorf("--wait-timeout needs --wait")
	case f.waitTimeout < 0:
		return fmt.Errorf("--wait-timeout %d: expected a number of seconds", f.waitTimeout)
	}
	if err := formatter.CheckTextOrJSON(f.format); err != nil {
		return err
	}
	back := 1
	if len(args) > 0 {
		back, _ = strconv.Atoi(args[0]) // checked
	}
	name, daemon, err := run.Reach(ctx, nil)
	if err != nil {
		return err
	}
	was, err := daemon.Revision(ctx, name, back)
	if err != nil {
		return err
	}
	run.Past = true
	o := ask.UpOptions{
		Command: run.Command(), Services: was.Services, Scale: was.Scale, RemoveOrphans: true, Parallel: run.Flags.Parallel,
		Offline: run.Offline(), Wait: f.wait, WaitTimeout: time.Duration(f.waitTimeout) * time.Second,
	}
	fmt.Fprintf(run.Err, "back to #%d of %s\n", was.Number, was.Time.Local().Format(time.DateTime))
	if f.dryRun {
		return preview.Plan(ctx, run, daemon, was.Project, o, f.format, "")
	}
	return daemon.Up(ctx, was.Project, o, run.Progress().Event)
}
