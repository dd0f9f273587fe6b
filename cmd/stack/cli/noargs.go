package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// NoArgs is cobra's of that name, in words that do not take an argument for a command.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("`%s` takes options only, and %q is none (see '%[1]s --help')", cmd.CommandPath(), args[0])
}
