// Package root is the command stack: its global flags, the table of its verbs, and how a line that was typed comes to the verb and to an exit code.
package root

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/containers"
	"github.com/stackrun/stack/cmd/stack/deploy"
	"github.com/stackrun/stack/cmd/stack/file"
	"github.com/stackrun/stack/cmd/stack/host"
	"github.com/stackrun/stack/cmd/stack/images"
	"github.com/stackrun/stack/cmd/stack/lifecycle"
	"github.com/stackrun/stack/cmd/stack/plans"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/session"
	"github.com/stackrun/stack/cmd/stack/volumes"
)

// newRoot is the command without its verbs.
func newRoot(run *cli.Run) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "stack [GLOBAL OPTIONS] COMMAND",
		Short: "Run Compose files: containers, networks and volumes, with a runtime of its own",
		Long: `Runs what a Compose file describes, with a container runtime of its own, and keeps it running.

Start with:   stack up          in a directory with a compose.yaml
Then:         stack ps, stack logs -f, stack exec SERVICE sh, stack down
If it fails:  stack doctor      says what this host lacks`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cli.UnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				_, err := fmt.Fprintf(run.Out, "stack version %s\n", run.Version)
				return err
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkGlobals(run, cmd) },
	}
	root.SetIn(run.In)
	root.SetOut(run.Out)
	root.SetErr(run.Err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelpCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nsee '%s --help'", cli.InWords(err), cmd.CommandPath())
	})
	// -f and -p stand before the verb: logs, rm, version and run have others of their own.
	root.TraverseChildren = true
	root.SuggestionsMinimumDistance = 2
	root.Flags().StringArrayVarP(&run.Flags.Files, "file", "f", nil, "Compose file; several are merged in order, - is stdin")
	root.Flags().StringVarP(&run.Flags.Name, "project-name", "p", "", "Project name (default: the file's name, else its directory's)")
	f := root.PersistentFlags()
	f.StringArrayVar(&run.Flags.Profiles, "profile", nil, "Enable a profile; * is all of them")
	f.StringArrayVar(&run.Flags.EnvFiles, "env-file", nil, "Read variables from this file instead of .env")
	f.StringVar(&run.Flags.ProjectDir, "project-directory", "", "Base of relative paths (default: the first file's directory)")
	f.StringVar(&run.ProgressMode, "progress", "", "How to show progress: auto, tty, plain, json or quiet (default auto)")
	f.Var(&run.Diagnostics, "diagnostics", "How to show faults: text, or json for editors (default text)")
	f.StringVar(&run.ANSI, "ansi", "", "Use colours and cursor movements: never, always or auto (default auto)")
	f.IntVar(&run.Flags.Parallel, "parallel", 0, "up, create and run: do at most this many things at once, -1 for no bound (default: what suits)")
	f.Bool("isolated", false, "Add a hash of the directory to the project's name: other directories have projects of their own (STACK_ISOLATED=1)")
	f.Bool("offline", false, "Fetch nothing: images, and what builds start from, are taken as they are here, and all that is missing is named (STACK_OFFLINE=1)")
	f.BoolVar(&run.Flags.AllResources, "all-resources", false, "Networks, volumes and the like that no service uses, too")
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "Show the version")
	// docker compose's old spellings, and what is refused by name.
	f.StringVar(&run.Flags.ProjectDir, "workdir", "", "")
	f.Bool("no-ansi", false, "")
	f.StringArray("insecure-registry", nil, "")
	for name := range refusedGlobals {
		if f.Lookup(name) == nil {
			f.Bool(name, false, "")
		}
		f.MarkHidden(name) //nolint:errcheck // it exists
	}
	f.MarkHidden("workdir") //nolint:errcheck // it exists
	f.MarkHidden("no-ansi") //nolint:errcheck // it exists
	f.StringVar(&run.Flags.StateRoot, "state-root", "", "Directory of images, volumes and containers (default /var/lib/stack)")
	f.StringVar(&run.Flags.RunRoot, "run-root", "", "Directory of sockets and network namespaces (default /run/stack)")
	f.StringVar(&run.Flags.Config, "config", "", "The daemon's configuration file (default /etc/stack/config.yaml)")
	root.SetUsageTemplate(usageTemplate)
	return root
}

// verbs are the commands by name, noun by noun. Of each the function that makes it, called when the verb is.
var verbs = []struct {
	name string
	make func(*cli.Run) *cobra.Command
}{
	{"create", deploy.NewCreateCommand}, {"plan", deploy.NewPlanCommand}, {"scale", deploy.NewScaleCommand}, {"up", deploy.NewUpCommand}, {"watch", deploy.NewWatchCommand},

	{"down", lifecycle.NewDownCommand}, {"kill", lifecycle.NewKillCommand}, {"pause", lifecycle.NewPauseCommand}, {"restart", lifecycle.NewRestartCommand}, {"rm", lifecycle.NewRmCommand},
	{"start", lifecycle.NewStartCommand}, {"stop", lifecycle.NewStopCommand}, {"unpause", lifecycle.NewUnpauseCommand}, {"wait", lifecycle.NewWaitCommand},

	{"attach", session.NewAttachCommand}, {"exec", session.NewExecCommand}, {"run", session.NewRunCommand},

	{"cp", containers.NewCpCommand}, {"export", containers.NewExportCommand}, {"logs", containers.NewLogsCommand}, {"port", containers.NewPortCommand}, {"ports", containers.NewPortsCommand},
	{"ps", containers.NewPsCommand}, {"stats", containers.NewStatsCommand}, {"top", containers.NewTopCommand},

	{"build", images.NewBuildCommand}, {"commit", images.NewCommitCommand}, {"images", images.NewImagesCommand}, {"load", images.NewLoadCommand}, {"pull", images.NewPullCommand},
	{"push", images.NewPushCommand},

	{"volumes", volumes.NewVolumesCommand},

	{"apply", plans.NewApplyCommand}, {"drift", plans.NewDriftCommand}, {"history", plans.NewHistoryCommand}, {"rollback", plans.NewRollbackCommand}, {"why", plans.NewWhyCommand},

	{"daemon", host.NewDaemonCommand}, {"debug", host.NewDebugCommand}, {"doctor", host.NewDoctorCommand}, {"events", host.NewEventsCommand}, {"gc", host.NewGCCommand},
	{"ls", host.NewLsCommand}, {"version", host.NewVersionCommand},

	{"config", file.NewConfigCommand}, {"graph", file.NewGraphCommand}, {"lsp", file.NewLspCommand},

	{"completion", newCompletionCommand},
}

// addVerbs gives root the command that is called; all of them where it is none of ours: for help, completion and what is misspelt. To make them all,
// with their flags, takes as long as many a command.
func addVerbs(run *cli.Run, root *cobra.Command, called string) {
	for _, v := range verbs {
		if v.name == called {
			root.AddCommand(v.make(run))
		}
	}
	if !root.HasSubCommands() {
		for _, v := range verbs {
			root.AddCommand(v.make(run))
		}
	}
	for _, c := range append(root.Commands(), root) {
		c.DisableFlagsInUseLine = true // each says where its own stand
	}
	completeServices(run, root)
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

// refused are docker compose's commands that stack does not have, so that nobody takes them for misspelt.
var refused = map[string]string{
	"bridge": "", "alpha": "`stack graph` draws what `alpha viz` does, and `stack scale` scales",
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

// refusedGlobals are docker compose's global flags that would have no effect, with why.
var refusedGlobals = map[string]string{
	"compatibility":     "names of containers have '-' between their parts",
	"dry-run":           "nothing would be as it says",
	"insecure-registry": "name the registry under registries.insecure in the configuration file",
	"verbose":           "use --progress plain, or `stack why SERVICE` for what happened",
}

// checkGlobals checks the global flags, joins them with the environment, and decides the roots.
func checkGlobals(run *cli.Run, cmd *cobra.Command) error {
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
	if run.Env.Truthy("COMPOSE_COMPATIBILITY") {
		return fmt.Errorf("COMPOSE_COMPATIBILITY is not supported: names of containers have '-' between their parts")
	}
	if given := cmd.Root().PersistentFlags().Lookup("isolated"); given.Changed {
		yes := given.Value.String() == "true"
		run.Flags.Isolated = &yes
	}
	if given := cmd.Root().PersistentFlags().Lookup("offline"); given.Changed {
		yes := given.Value.String() == "true"
		run.Flags.Offline = &yes
	}
	if cmd.Annotations[cli.NoProject] == "" {
		run.Locate(cmd.Context())
	}
	if _, err := run.Env.Offline(run.Flags.Offline); err != nil {
		return err
	}
	if run.ProgressMode == "" && run.Diagnostics == console.DiagnosticsJSON {
		run.ProgressMode = string(progress.Quiet) // it would be between the diagnostics
	}
	if run.ProgressMode == "" {
		run.ProgressMode = run.Env["COMPOSE_PROGRESS"]
	}
	if run.ProgressMode == "" {
		run.ProgressMode = string(progress.Auto)
	}
	if !slices.Contains(progress.Modes, progress.Mode(run.ProgressMode)) {
		return fmt.Errorf("unsupported --progress value %q, expected auto, tty, plain, json or quiet", run.ProgressMode)
	}
	if noANSI, _ := cmd.Flags().GetBool("no-ansi"); noANSI && run.ANSI == "" {
		run.ANSI = "never"
	}
	if run.ANSI == "" {
		run.ANSI = run.Env["COMPOSE_ANSI"]
	}
	switch run.ANSI {
	case "":
		run.ANSI = "auto"
	case "never", "always", "auto":
	default:
		return fmt.Errorf("unsupported --ansi value %q, expected never, always or auto", run.ANSI)
	}
	if run.ANSI == "never" {
		switch progress.Mode(run.ProgressMode) {
		case progress.TTY:
			return fmt.Errorf("--progress tty and --ansi never contradict each other")
		case progress.Auto:
			run.ProgressMode = string(progress.Plain)
		}
	}
	if text := run.Env["COMPOSE_PARALLEL_LIMIT"]; text != "" && !cmd.Flags().Changed("parallel") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("COMPOSE_PARALLEL_LIMIT=%q: expected a number", text)
		}
		run.Flags.Parallel = n
	}
	given := cmd.Flags().Changed("parallel") || run.Env["COMPOSE_PARALLEL_LIMIT"] != ""
	if given && run.Flags.Parallel == 0 || run.Flags.Parallel < -1 {
		return fmt.Errorf("--parallel %d: expected -1 or a positive number", run.Flags.Parallel)
	}
	if err := run.SetRoots(); err != nil {
		return fmt.Errorf("cannot use the roots: %w", err)
	}
	return nil
}
