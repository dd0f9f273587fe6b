package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/inquiry"
)

// NewDoctorCommand makes the command doctor.
func NewDoctorCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:         "doctor [OPTIONS]",
		Short:       "Say what this host can do for containers, and how to fix what it cannot",
		Long:        "Tries what containers need of this host, changes nothing, and says for what is missing what to do. It fails when something is missing without which nothing works.",
		Args:        cli.NoArgs,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return examine(cmd.Context(), run, format) },
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func examine(ctx context.Context, run *cli.Run, format string) error {
	if format != "table" && format != "json" {
		return fmt.Errorf("unsupported --format value %q, expected table or json", format)
	}
	answer, err := run.Launcher.Inquire(ctx, inquiry.Question{Host: &run.Launcher.Roots})
	if err != nil {
		return err
	}
	all := answer.Host
	if format == "json" {
		if err := json.NewEncoder(run.Out).Encode(all); err != nil {
			return err
		}
	} else {
		marks := map[doctor.State]string{
			doctor.OK: run.Paint(run.Out, "32", "✔"), doctor.Warning: run.Paint(run.Out, "33", "!"), doctor.Missing: run.Paint(run.Out, "31", "✘"),
		}
		t := tabwriter.NewWriter(run.Out, 0, 1, 2, ' ', 0)
		for _, c := range all {
			fmt.Fprintf(t, "%s %s\t%s\n", marks[c.State], c.Name, c.Detail)
			if c.Fix != "" && c.State != doctor.OK {
				fmt.Fprintf(t, "  \t→ %s\n", c.Fix)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if doctor.Essential(all) {
		return &exitcode.Error{Code: exitcode.Failed, Err: errors.New("this host lacks something that stack cannot do without")}
	}
	return nil
}
