package root

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
)

func newCompletionCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script for bash, zsh or fish",
		Long: `Prints what makes a shell complete stack's commands, options and services. For this session of bash, which needs
the package bash-completion for it:

  source <(stack completion bash)`,
		ValidArgs:   []string{"bash", "zsh", "fish"},
		Args:        cobra.MatchAll(cli.Arguments(1, 1), knownShell),
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(run.Out, true)
			case "zsh":
				return root.GenZshCompletion(run.Out)
			}
			return root.GenFishCompletion(run.Out, true)
		},
	}
}

// knownShell is cobra's OnlyValidArgs in words that say what there is.
func knownShell(cmd *cobra.Command, args []string) error {
	if !slices.Contains(cmd.ValidArgs, args[0]) {
		return fmt.Errorf("cannot complete for %q: expected bash, zsh or fish", args[0])
	}
	return nil
}

// completeServices makes shells complete the file's services where a verb takes them, instead of the names of files.
func completeServices(run *cli.Run, root *cobra.Command) {
	for _, cmd := range root.Commands() {
		_, takes, ok := strings.Cut(cmd.Use, "SERVICE")
		switch {
		case cmd.ValidArgsFunction != nil || len(cmd.ValidArgs) > 0:
		case !ok:
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		default:
			several := strings.HasPrefix(takes, "...") || strings.HasPrefix(takes, " [SERVICE...")
			cmd.ValidArgsFunction = func(cmd *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
				switch {
				case len(before) > 0 && strings.Contains(takes, "COMMAND"):
					return nil, cobra.ShellCompDirectiveDefault // of a command in the container
				case len(before) > 0 && !several:
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return run.Services(cmd, before), cobra.ShellCompDirectiveNoFileComp
			}
		}
	}
}
