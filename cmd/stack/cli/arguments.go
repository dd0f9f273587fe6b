package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// InWords is a fault of a flag without the words of Go's libraries.
func InWords(err error) error {
	var invalid *pflag.InvalidValueError
	var parse *strconv.NumError
	if !errors.As(err, &invalid) || !errors.As(err, &parse) {
		return err
	}
	expected := "a whole number"
	if parse.Func == "ParseBool" {
		expected = "true or false"
	}
	return fmt.Errorf("invalid argument %q for --%s, expected %s", invalid.GetValue(), invalid.GetFlag().Name, expected)
}

// Arguments are at least least and at most most of them; most < 0: as many as there are.
func Arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if least <= n && (n <= most || most < 0) {
			return nil
		}
		few := "too few arguments"
		if n > least {
			few = "too many arguments"
		}
		return fmt.Errorf("%s: %s\nusage: %s %s", cmd.Name(), few, cmd.Parent().CommandPath(), cmd.Use)
	}
}
