package file

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/lsp"
)

// NewLspCommand makes the command lsp.
func NewLspCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "lsp",
		Short: "Serve an editor: faults, completion and explanations of Compose files",
		Long: "Speaks the Language Server Protocol on stdin and stdout, for an editor that starts it: faults while a Compose file is written, completion of keys, values, " +
			"names and variables, and for what is under the cursor its meaning and where its value comes from. It needs no daemon.",
		Args:        cli.NoArgs,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lsp.Serve(cmd.Context(), run.In, run.Out, lsp.Options{FS: cli.HostFS, Env: run.Env, Remote: run.Fetcher(), Version: run.Version})
		},
	}
}
