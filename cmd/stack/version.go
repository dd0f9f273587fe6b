package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"fmt"

	"github.com/stackrun/stack/cmd/stack/daemonprog"
	"github.com/stackrun/stack/cmd/stack/formatter"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Client and daemon of one version share
// the types that travel between them.
var version = "0.1.0-dev"

func newVersionCommand(a *app) *cobra.Command {
	var format string
	var short bool
	cmd := &cobra.Command{
		Use:         "version [OPTIONS]",
		Short:       "Show the version",
		Annotations: map[string]string{noProject: "true"},
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if p, err := daemonprog.Carried(); a.linked == nil && err == nil && p.Version != version {
				a.warn("the daemon's program in this binary is version %s: this one cannot use it, build both with `make build`", p.Version)
			}
			switch {
			case short:
				return formatter.WriteLines(a.out, []string{version})
			case format == "json":
				return json.NewEncoder(a.out).Encode(map[string]string{"version": version})
			case format == "" || format == "pretty":
				return formatter.WriteLines(a.out, []string{"stack version " + version})
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
