package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newHelpCommand is --help as a verb, which docker and compose have too.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "help [COMMAND]",
		Short:       "Show what a command does",
		Annotations: map[string]string{noProject: "true"},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil || len(rest) > 0:
				return unknownCommand(c, rest)
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
// "--parallel -1 up" for a flag of its own, and the verb for its value.
func joinValues(root *cobra.Command, args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		word := args[i]
		if !strings.HasPrefix(word, "-") || word == "-" || word == "--" {
			return append(joined, args[i:]...)
		}
		joined = append(joined, word)
		if i+1 == len(args) || !takesNextWord(root, word) {
			continue
		}
		i++
		if strings.HasPrefix(word, "--") && strings.HasPrefix(args[i], "-") {
			joined[len(joined)-1] += "=" + args[i]
		} else {
			joined = append(joined, args[i])
		}
	}
	return joined
}

// takesNextWord says whether word is a global flag whose value is the word after it.
func takesNextWord(root *cobra.Command, word string) bool {
	name, long := strings.CutPrefix(word, "--")
	flag := root.Flags().Lookup(name)
	if flag == nil {
		flag = root.PersistentFlags().Lookup(name)
	}
	if !long {
		flag = nil
		if len(word) == 2 {
			flag = root.Flags().ShorthandLookup(word[1:])
		}
	}
	return flag != nil && flag.NoOptDefVal == ""
}
