package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

type runFlags struct {
	ask.RunOptions
	noTTY, tty, quiet, quietPull, quietBuild bool
	orphansGiven                             bool
	entrypoint, pull                         string
	labels, envFiles                         []string
}

// NewRunCommand makes the command run.
func NewRunCommand(run *cli.Run) *cobra.Command {
	var r runFlags
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] SERVICE [COMMAND] [ARGS...]",
		Short: "Run a command in a new container of a service",
		Long: `Runs a command in a container of its own that is made as the service says, after starting what the service
depends on. It publishes no ports unless -P or -p says so. It ends with the command's exit code.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("run needs a service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Service, r.Args = args[0], args[1:]
			r.orphansGiven = cmd.Flags().Changed("remove-orphans")
			if cmd.Flags().Changed("tty") && !r.tty {
				r.noTTY = true
			}
			if cmd.Flags().Changed("entrypoint") {
				words, err := splitWords(r.entrypoint)
				if err != nil {
					return fmt.Errorf("invalid --entrypoint %q: %w", r.entrypoint, err)
				}
				r.Entrypoint = &words
			}
			return runOne(cmd.Context(), run, r)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // flags after SERVICE are the command's
	f.StringSliceVar(&r.CapAdd, "cap-add", nil, "Add a capability")
	f.StringSliceVar(&r.CapDrop, "cap-drop", nil, "Take a capability away")
	f.BoolVarP(&r.Detach, "detach", "d", false, "Do not wait: print the container's name")
	f.StringVar(&r.entrypoint, "entrypoint", "", "Instead of the image's entrypoint")
	f.StringArrayVarP(&r.Env, "env", "e", nil, "KEY=VALUE, or KEY for the value that it has here")
	f.StringArrayVar(&r.envFiles, "env-from-file", nil, "Read variables from this file")
	f.BoolVarP(&r.Interactive, "interactive", "i", true, "Keep stdin open")
	f.StringArrayVarP(&r.labels, "label", "l", nil, "KEY=VALUE: add a label")
	f.StringVar(&r.Name, "name", "", "The container's name")
	f.BoolVar(&r.NoDeps, "no-deps", false, "Do not start what the service depends on")
	f.BoolVarP(&r.noTTY, "no-tty", "T", false, "No terminal")
	f.StringArrayVarP(&r.Publish, "publish", "p", nil, "Publish a port, as in ports:")
	f.StringVar(&r.pull, "pull", "policy", "When to pull images: always, missing, never, build for what can be built, or policy for each service's own")
	f.BoolVarP(&r.quiet, "quiet", "q", false, "Print nothing of our own")
	f.BoolVar(&r.quietPull, "quiet-pull", false, "Do not show the progress of pulls")
	f.BoolVar(&r.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	f.BoolVar(&r.Remove, "rm", false, "Remove the container when it ends")
	f.BoolVarP(&r.ServicePorts, "service-ports", "P", false, "Publish the service's ports")
	f.BoolVarP(&r.tty, "tty", "t", true, "")
	f.BoolVar(&r.UseAliases, "use-aliases", false, "Answer to the service's names on its networks")
	f.StringVarP(&r.User, "user", "u", "", "Run as this user: name or uid, with :group if need be")
	f.StringArrayVarP(&r.Volumes, "volume", "v", nil, "Mount, as in volumes:")
	f.StringVarP(&r.Cwd, "workdir", "w", "", "Run in this directory of the container")
	f.BoolVar(&r.Build, "build", false, "Build the image again that can be built, also when it is here")
	f.BoolVar(&r.quietBuild, "quiet-build", false, "Do not show the progress of builds")
	f.MarkHidden("tty") //nolint:errcheck // it exists
	return cmd
}

func runOne(ctx context.Context, run *cli.Run, r runFlags) error {
	r.Offline = run.Offline()
	if err := r.check(); err != nil {
		return err
	}
	p, err := run.Load(ctx, []string{r.Service})
	if err != nil {
		return err
	}
	if r.Env, err = runEnv(run, r); err != nil {
		return err
	}
	if r.Labels, err = parseLabels(r.labels); err != nil {
		return err
	}
	r.RemoveOrphans = run.Env.RemoveOrphans(r.RemoveOrphans, r.orphansGiven)
	r.Parallel, r.Command = run.Flags.Parallel, run.Command()
	if r.Ports, err = run.Env.HostPorts(false, false); err != nil {
		return err
	}
	if r.Name == "" {
		var b [6]byte
		rand.Read(b[:]) //nolint:errcheck // never fails
		r.Name = fmt.Sprintf("%s-%s-run-%s", p.Name, r.Service, hex.EncodeToString(b[:]))
	}
	daemon := run.Connect()
	o := ask.UpOptions{Services: []string{r.Service}, Pull: r.Pull, Build: r.Build, Offline: r.Offline, NoDeps: r.NoDeps, Scale: map[string]int{}}
	if s := p.Services[r.Service]; s != nil && s.Replicas == 0 {
		o.Scale[r.Service] = 1
	}
	if p, err = sources.FetchDue(ctx, run, daemon, p, o); err != nil {
		return err
	}
	needs := []string{r.Service}
	if !r.NoDeps {
		needs = selection.WithDependencies(p, needs)
	}
	if p.Services[r.Service].Provider == nil { // else the daemon says that there is nothing to run
		if err := provision.Provide(ctx, run, daemon, p, ask.UpOptions{Pull: r.Pull, Build: r.Build, Offline: r.Offline, Parallel: r.Parallel, Command: r.Command, Ports: r.Ports}, needs); err != nil {
			return err
		}
	}
	if r.Detach {
		exit, err := daemon.Run(ctx, p, r.RunOptions, process.IO{}, runSink(run, r))
		if err == nil {
			err = exitcode.WithProcess(exit) // 0 once it has started
		}
		if err != nil {
			return err
		}
		run.EndProgress()
		return formatter.WriteLines(run.Out, []string{r.Name})
	}
	return runHere(ctx, run, p, r)
}

// runHere runs with our streams. The progress of what comes before the command is drawn and done with when
// the one-off container is there, or at its first byte if that is seen first; only then is the terminal its.
func runHere(ctx context.Context, run *cli.Run, p *spec.Project, r runFlags) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.TTY = interactiveTTY(run, r.noTTY)
	s := openSession(run, r.TTY, r.Interactive, cancel)
	defer s.restore()
	r.Rows, r.Cols = s.rows, s.cols
	show := runSink(run, r)
	var once sync.Once
	var unusable error
	begin := func() {
		once.Do(func() {
			run.EndProgress()
			if unusable = s.begin(); unusable != nil {
				cancel()
			}
		})
	}
	s.io.Stdout, s.io.Stderr = announced{run.Out, begin}, announced{run.Err, begin}
	exit, err := run.Connect().Run(ctx, p, r.RunOptions, s.io, func(e event.Event) {
		if e.Kind == "container" && e.Name == r.Name && e.Phase == event.Done {
			begin()
		}
		show(e)
	})
	s.restore()
	if err := cmp.Or(unusable, err); err != nil {
		return err
	}
	return exitcode.WithProcess(exit)
}

func (r *runFlags) check() error {
	switch {
	case r.Offline && r.pull == "always":
		return fmt.Errorf("--offline and --pull always are incompatible")
	case r.ServicePorts && len(r.Publish) > 0:
		return fmt.Errorf("--service-ports and --publish are incompatible")
	}
	switch r.pull {
	case "policy":
	case "always", "missing", "never", "build":
		r.Pull = r.pull
	default:
		return fmt.Errorf("invalid --pull option %q, expected always, missing, never, build or policy", r.pull)
	}
	return nil
}

// runSink shows what happens to other resources; the one-off container itself speaks for itself.
func runSink(run *cli.Run, r runFlags) event.Sink {
	show := run.Quietly(r.quiet).Event
	return func(e event.Event) {
		quiet := r.quietPull
		if e.Text == "Building" {
			quiet = r.quietBuild
		}
		if e.Name == r.Name || quiet && e.Kind == "image" && e.Phase == event.Working {
			return
		}
		show(e)
	}
}

func parseLabels(list []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, l := range list {
		k, v, _ := strings.Cut(l, "=")
		if k == "" {
			return nil, fmt.Errorf("invalid --label %q, expected KEY=VALUE", l)
		}
		labels[k] = v
	}
	return labels, nil
}
