package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/progress"
)

// globalFlags hold for every verb.
type globalFlags struct {
	files      []string
	name       string
	profiles   []string
	envFiles   []string
	projectDir string
	progress   string
	ansi       string
	parallel   int

	allResources, noANSI, version bool
	isolated                      *bool // nil = not given

	stateRoot, runRoot, config string
}

// newRoot is the command without its verbs.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "stack [GLOBAL OPTIONS] COMMAND",
		Short: "Run Compose files: containers, networks and volumes, with a runtime of its own",
		Long: `Runs what a Compose file describes, with a container runtime of its own, and keeps it running.

Start with:   stack up          in a directory with a compose.yaml
Then:         stack ps, stack logs -f, stack exec SERVICE sh, stack down
If it fails:  stack doctor      says what this host lacks`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.global.version {
				_, err := fmt.Fprintf(a.out, "stack version %s\n", version)
				return err
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkGlobals(cmd) },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelpCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nsee '%s --help'", err, cmd.CommandPath())
	})
	// -f and -p stand before the verb: logs, rm, version and run have others of their own.
	root.TraverseChildren = true
	root.SuggestionsMinimumDistance = 2
	root.Flags().StringArrayVarP(&a.global.files, "file", "f", nil, "Compose file; several are merged in order, - is stdin")
	root.Flags().StringVarP(&a.global.name, "project-name", "p", "", "Project name (default: the file's name, else its directory's)")
	f := root.PersistentFlags()
	f.StringArrayVar(&a.global.profiles, "profile", nil, "Enable a profile; * is all of them")
	f.StringArrayVar(&a.global.envFiles, "env-file", nil, "Read variables from this file instead of .env")
	f.StringVar(&a.global.projectDir, "project-directory", "", "Base of relative paths (default: the first file's directory)")
	f.StringVar(&a.global.progress, "progress", "", "How to show progress: auto, tty, plain, json or quiet (default auto)")
	f.Var(&a.faultsAs, "diagnostics", "How to show faults: text, or json for editors (default text)")
	f.StringVar(&a.global.ansi, "ansi", "", "Use colours and cursor movements: never, always or auto (default auto)")
	f.IntVar(&a.global.parallel, "parallel", 0, "up, create and run: do at most this many things at once, -1 for no bound (default: what suits)")
	f.Bool("isolated", false, "Add a hash of the directory to the project's name: other directories have projects of their own (STACK_ISOLATED=1)")
	f.BoolVar(&a.global.allResources, "all-resources", false, "Networks, volumes and the like that no service uses, too")
	root.Flags().BoolVarP(&a.global.version, "version", "v", false, "Show the version")
	// docker compose's old spellings, and what is refused by name.
	f.StringVar(&a.global.projectDir, "workdir", "", "")
	f.BoolVar(&a.global.noANSI, "no-ansi", false, "")
	f.StringArray("insecure-registry", nil, "")
	for name := range refusedGlobals {
		if f.Lookup(name) == nil {
			f.Bool(name, false, "")
		}
		f.MarkHidden(name) //nolint:errcheck // it exists
	}
	f.MarkHidden("workdir") //nolint:errcheck // it exists
	f.MarkHidden("no-ansi") //nolint:errcheck // it exists
	f.StringVar(&a.global.stateRoot, "state-root", "", "Directory of images, volumes and containers (default /var/lib/stack)")
	f.StringVar(&a.global.runRoot, "run-root", "", "Directory of sockets and network namespaces (default /run/stack)")
	f.StringVar(&a.global.config, "config", "", "The daemon's configuration file (default /etc/stack/config.yaml)")
	root.SetUsageTemplate(usageTemplate)
	return root
}

// verbs are the commands, by name.
var verbs = []struct {
	name string
	make func(*app) *cobra.Command
}{
	{"apply", newApplyCommand}, {"attach", newAttachCommand}, {"build", newBuildCommand}, {"commit", newCommitCommand}, {"completion", newCompletionCommand}, {"config", newConfigCommand}, {"cp", newCpCommand}, {"create", newCreateCommand}, {"daemon", newDaemonCommand},
	{"debug", newDebugCommand}, {"doctor", newDoctorCommand}, {"down", newDownCommand}, {"drift", newDriftCommand}, {"events", newEventsCommand},
	{"exec", newExecCommand}, {"export", newExportCommand}, {"gc", newGCCommand}, {"history", newHistoryCommand}, {"images", newImagesCommand}, {"kill", newKillCommand}, {"load", newLoadCommand}, {"logs", newLogsCommand},
	{"ls", newLsCommand}, {"lsp", newLspCommand}, {"pause", newPauseCommand}, {"plan", newPlanCommand}, {"port", newPortCommand}, {"ports", newPortsCommand}, {"ps", newPsCommand}, {"pull", newPullCommand}, {"push", newPushCommand},
	{"restart", newRestartCommand}, {"rm", newRmCommand}, {"rollback", newRollbackCommand}, {"run", newRunCommand}, {"scale", newScaleCommand}, {"start", newStartCommand}, {"stats", newStatsCommand},
	{"stop", newStopCommand}, {"top", newTopCommand}, {"unpause", newUnpauseCommand}, {"up", newUpCommand}, {"version", newVersionCommand}, {"volumes", newVolumesCommand}, {"wait", newWaitCommand}, {"watch", newWatchCommand}, {"why", newWhyCommand},
}

// addVerbs gives root the command that is called; all of them where it is none of ours: for help, completion and what is misspelt. To make them all,
// with their flags, takes as long as many a command.
func (a *app) addVerbs(root *cobra.Command, called string) {
	for _, v := range verbs {
		if v.name == called {
			root.AddCommand(v.make(a))
		}
	}
	if !root.HasSubCommands() {
		for _, v := range verbs {
			root.AddCommand(v.make(a))
		}
	}
	for _, c := range append(root.Commands(), root) {
		c.DisableFlagsInUseLine = true // each says where its own stand
	}
	a.completeServices(root)
	if len(root.Commands()) > 1 {
		root.AddCommand(refusedCommands()...)
	}
}

// usageTemplate is cobra's without the global options below each verb: they hide the verb's own.
const usageTemplate = `Usage:
  {{.UseLine}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

Options:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}

{{if .HasAvailableInheritedFlags}}Global options stand before the verb: see 'stack --help'.{{else}}'stack COMMAND --help' says more about a command.{{end}}
`

// unknownCommand names what was meant, if it can.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see 'stack --help'"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q (%s)", args[0], hint)
}

// refused are docker compose's commands that stack does not have, so that nobody takes them for misspelt.
var refused = map[string]string{
	"bridge": "", "alpha": "",
	"publish": "",
}

func refusedCommands() []*cobra.Command {
	var all []*cobra.Command
	for name, instead := range refused {
		all = append(all, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				if instead != "" {
					return fmt.Errorf("cannot run `stack %s`: this command of docker compose is not supported; %s", name, instead)
				}
				return fmt.Errorf("cannot run `stack %s`: this command of docker compose is not supported", name)
			},
		})
	}
	return all
}

// noProject marks, in a command's annotations, a verb that looks at no Compose file: .env does not concern it.
const noProject = "no-project"

// refusedGlobals are docker compose's global flags that would have no effect, with why.
var refusedGlobals = map[string]string{
	"compatibility":     "names of containers have '-' between their parts",
	"dry-run":           "nothing would be as it says",
	"insecure-registry": "name the registry under registries.insecure in the configuration file",
	"verbose":           "use --progress plain, or `stack why SERVICE` for what happened",
}

// checkGlobals checks the global flags, joins them with the environment, and decides the roots.
func (a *app) checkGlobals(cmd *cobra.Command) error {
	for name, why := range refusedGlobals {
		global := cmd.Root().PersistentFlags().Lookup(name)
		switch own := cmd.Flags().Lookup(name); {
		case !global.Changed:
		case own != nil && own != global: // the verb has one of its own, and the user has put it before the verb
			if err := cmd.Flags().Set(name, global.Value.String()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("--%s is not supported: %s", name, why)
		}
	}
	if a.truthy("COMPOSE_COMPATIBILITY") {
		return fmt.Errorf("COMPOSE_COMPATIBILITY is not supported: names of containers have '-' between their parts")
	}
	if given := cmd.Root().PersistentFlags().Lookup("isolated"); given.Changed {
		yes := given.Value.String() == "true"
		a.global.isolated = &yes
	}
	if cmd.Annotations[noProject] == "" {
		a.locate(cmd.Context())
	}
	if a.global.progress == "" && a.faultsAs == diagnosticsJSON {
		a.global.progress = string(progress.Quiet) // it would be between the diagnostics
	}
	if a.global.progress == "" {
		a.global.progress = a.env["COMPOSE_PROGRESS"]
	}
	if a.global.progress == "" {
		a.global.progress = string(progress.Auto)
	}
	if !slices.Contains(progress.Modes, progress.Mode(a.global.progress)) {
		return fmt.Errorf("unsupported --progress value %q, expected auto, tty, plain, json or quiet", a.global.progress)
	}
	if a.global.noANSI && a.global.ansi == "" {
		a.global.ansi = "never"
	}
	if a.global.ansi == "" {
		a.global.ansi = a.env["COMPOSE_ANSI"]
	}
	switch a.global.ansi {
	case "":
		a.global.ansi = "auto"
	case "never", "always", "auto":
	default:
		return fmt.Errorf("unsupported --ansi value %q, expected never, always or auto", a.global.ansi)
	}
	if a.global.ansi == "never" {
		switch progress.Mode(a.global.progress) {
		case progress.TTY:
			return fmt.Errorf("--progress tty and --ansi never contradict each other")
		case progress.Auto:
			a.global.progress = string(progress.Plain)
		}
	}
	if text := a.env["COMPOSE_PARALLEL_LIMIT"]; text != "" && !cmd.Flags().Changed("parallel") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("COMPOSE_PARALLEL_LIMIT=%q: expected a number", text)
		}
		a.global.parallel = n
	}
	given := cmd.Flags().Changed("parallel") || a.env["COMPOSE_PARALLEL_LIMIT"] != ""
	if given && a.global.parallel == 0 || a.global.parallel < -1 {
		return fmt.Errorf("--parallel %d: expected -1 or a positive number", a.global.parallel)
	}
	if err := a.setRoots(); err != nil {
		return fmt.Errorf("cannot use the roots: %w", err)
	}
	return nil
}
