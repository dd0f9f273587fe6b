package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// UnknownCommand names what was meant, if it can.
func UnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see 'stack --help'"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q (%s)", args[0], hint)
}
