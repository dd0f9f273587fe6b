package plans

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/preview"
)

// NewDriftCommand makes the command drift.
func NewDriftCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "drift [OPTIONS]",
		Short: "Say how this host differs from the file of the last up, and change nothing",
		Long: `Names every difference between the file as it was at the last 'stack up' and this host: containers that are stopped,
gone, or other than the file says, networks and volumes that are gone, network namespaces, links, bridges and rules of the firewall that
somebody took away, and configs and secrets whose file has changed. What has been edited in the Compose file since is told by
'stack plan'.

Exit codes: 0 there is none, 2 there are some, 1 an error.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return showDrift(cmd.Context(), run, format) },
	}
	cmd.Flags().StringVar(&format, "format", formatter.Text, "text or json")
	return cmd
}

func showDrift(ctx context.Context, run *cli.Run, format string) error {
	if err := formatter.CheckTextOrJSON(format); err != nil {
		return err
	}
	name, daemon, err := run.Reach(ctx, nil)
	if err != nil {
		return err
	}
	found, err := daemon.Drift(ctx, name)
	if err != nil {
		return err
	}
	run.PrintWarnings(append(found.Warnings, found.Faults...))
	if err := preview.Write(run.Out, found, format, preview.DriftText); err != nil {
		return err
	}
	if len(found.Changes)+len(found.Faults) > 0 {
		return &exitcode.Error{Code: exitcode.Differs}
	}
	return nil
}
