package preview

import (
	"context"
	"fmt"
	"io"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// Plan shows what an up of p with o would do, and saves the plan in the file save, "" = not; where that is stdout, it is shown on stderr. It ends the command with what
// the plan comes to.
func Plan(ctx context.Context, run *cli.Run, daemon *client.Client, p *spec.Project, o ask.UpOptions, format, save string) error {
	if save != "" {
		saved, err := daemon.Save(ctx, p, o)
		if err != nil {
			return err
		}
		if saved.File != nil {
			// Whoever reads it reads the project's secrets.
			if err := run.WriteOutput(save, saved.File, atomicfile.Sync); err != nil {
				return fmt.Errorf("cannot save the plan: %w", err)
			}
		}
		if save == "-" {
			return show(run, run.Err, saved.Preview, format)
		}
		return Show(run, saved.Preview, format)
	}
	found, err := daemon.Plan(ctx, p, o)
	if err != nil {
		return err
	}
	return Show(run, found, format)
}

// Show prints a plan, and ends the command with what it comes to.
func Show(run *cli.Run, found *ask.Preview, format string) error {
	return show(run, run.Out, found, format)
}

func show(run *cli.Run, w io.Writer, found *ask.Preview, format string) error {
	run.PrintWarnings(found.Warnings)
	if err := Write(w, found, format, planText); err != nil {
		return err
	}
	switch {
	case len(found.Faults) > 0:
		return console.Faults(found.Faults)
	case len(found.Changes) > 0:
		return &exitcode.Error{Code: exitcode.Differs}
	}
	return nil
}
