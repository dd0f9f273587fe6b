package root

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stackrun/stack/cmd/stack/cli"
)

// newHelpCommand is --help as a verb, which docker and compose have too.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "help [COMMAND]",
		Short:       "Show what a command does",
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil || len(rest) > 0:
				return cli.UnknownCommand(c, rest)
			case c.DisableFlagParsing: // docker compose has it and stack has not: it says so
				return c.RunE(c, nil)
			}
			c.InitDefaultHelpFlag() // as --help shows it
			return c.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if len(args) == 0 && c.IsAvailableCommand() {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// joinValues writes --flag -v before the verb as --flag=-v. To find the verb cobra takes a word such as the -1 of
// "--parallel -1 up" for a flag of its own, and the verb for its value. verb is "" when there is none, or what stands before it is no flag of root's.
func joinValues(root *cobra.Command, args []string) (joined []string, verb string) {
	known := true
	for i := 0; i < len(args); i++ {
		word := args[i]
		if !strings.HasPrefix(word, "-") || word == "-" || word == "--" {
			if known {
				verb = word
			}
			return append(joined, args[i:]...), verb
		}
		joined = append(joined, word)
		flag := globalFlag(root, word)
		if flag == nil {
			known = false
		}
		if flag == nil || strings.Contains(word, "=") || flag.NoOptDefVal != "" || i+1 == len(args) {
			continue
		}
		i++
		if strings.HasPrefix(word, "--") && strings.HasPrefix(args[i], "-") {
			joined[len(joined)-1] += "=" + args[i]
		} else {
			joined = append(joined, args[i])
		}
	}
	return joined, ""
}

// globalFlag is the one that word gives, nil if root has no such one.
func globalFlag(root *cobra.Command, word string) *pflag.Flag {
	name, long := strings.CutPrefix(word, "--")
	if !long {
		if len(word) != 2 {
			return nil // several, or one with its value
		}
		return root.Flags().ShorthandLookup(word[1:])
	}
	name, _, _ = strings.Cut(name, "=")
	if flag := root.Flags().Lookup(name); flag != nil {
		return flag
	}
	return root.PersistentFlags().Lookup(name)
}
