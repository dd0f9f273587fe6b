package host

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/daemonprog"
	"github.com/stackrun/stack/cmd/stack/formatter"
)

// NewVersionCommand makes the command version.
func NewVersionCommand(run *cli.Run) *cobra.Command {
	var format string
	var short bool
	cmd := &cobra.Command{
		Use:         "version [OPTIONS]",
		Short:       "Show the version",
		Annotations: map[string]string{cli.NoProject: "true"},
		Args:        cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if p, err := daemonprog.Carried(); run.Launcher.Linked == nil && err == nil && p.Version != run.Version {
				run.Warn("the daemon's program in this binary is version %s: this one cannot use it, build both with `make build`", p.Version)
			}
			switch {
			case short:
				return formatter.WriteLines(run.Out, []string{run.Version})
			case format == "json":
				return json.NewEncoder(run.Out).Encode(map[string]string{"version": run.Version})
			case format == "" || format == "pretty":
				return formatter.WriteLines(run.Out, []string{"stack version " + run.Version})
			default:
				return fmt.Errorf("unsupported --format value %q, expected pretty or json", format)
			}
		},
	}
	// -f is this verb's own, as in docker compose; it hides the global --file's.
	cmd.Flags().StringVarP(&format, "format", "f", "", "pretty or json (default pretty)")
	cmd.Flags().BoolVar(&short, "short", false, "Only the number")
	return cmd
}
