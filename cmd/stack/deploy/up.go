// Package deploy has the verbs that make a project what its file says: create, plan, scale, up and watch.
package deploy

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/preview"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/reconcile/ask"
)

// upFlags are the flags of up as they stand on the command line.
type upFlags struct {
	planFlags
	detach, wait                     bool
	waitTimeout                      int
	noDeps, noStart                  bool
	alwaysRecreateDeps, renewAnon    bool
	timeout                          int
	abortOnExit, abortOnFailure      bool
	exitCodeFrom                     string
	attach, noAttach                 []string
	attachDependencies               bool
	timestamps, noLogPrefix, noColor bool
	quietBuild                       bool
	watch, menu                      bool
	dryRun                           bool
	format                           string // of dryRun
	output                           string // the file of a plan that is to be saved
	changed                          func(flag string) bool
	stopTimeout                      *time.Duration // nil: each container's own
}

// planFlags are shared by up and create.
type planFlags struct {
	forceRecreate, noRecreate, removeOrphans bool
	scale                                    []string
	pull                                     string
	quietPull, yes                           bool
	build, noBuild                           bool
	autoPorts                                bool
}

// NewUpCommand makes the command up.
func NewUpCommand(run *cli.Run) *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "up [OPTIONS] [SERVICE...]",
		Short: "Create and start the project, and follow its output",
		Long: `Makes the host equal to the Compose file: pulls images, builds what has a build and is not here, makes networks and volumes, creates and starts
containers in the order of their dependencies, and changes only what differs from the file.
Services with deploy.update_config are replaced in turns, as that says.

Without -d or --wait it then follows the containers' output. Ctrl-C stops them; a second Ctrl-C kills them.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			u.changed, u.stopTimeout = cmd.Flags().Changed, cli.Timeout(cmd, u.timeout)
			return bringUp(cmd.Context(), run, u, services)
		},
	}
	f := cmd.Flags()
	u.planFlags.add(cmd)
	f.BoolVarP(&u.detach, "detach", "d", false, "Return when everything is started")
	f.BoolVar(&u.wait, "wait", false, "Return when everything runs and is healthy; implies -d")
	f.IntVar(&u.waitTimeout, "wait-timeout", 0, "With --wait: give up after this many seconds")
	u.addRecreation(cmd)
	f.BoolVar(&u.noStart, "no-start", false, "Create only")
	f.IntVarP(&u.timeout, "timeout", "t", 0, "Seconds that a container has to stop in (default: its own stop_grace_period)")
	f.BoolVar(&u.abortOnExit, "abort-on-container-exit", false, "Stop everything when any container ends, with its exit code")
	f.BoolVar(&u.abortOnFailure, "abort-on-container-failure", false, "Stop everything when any container fails, with its exit code")
	f.StringVar(&u.exitCodeFrom, "exit-code-from", "", "End with this service's exit code; implies --abort-on-container-exit")
	f.StringArrayVar(&u.attach, "attach", nil, "Follow the output of this service only")
	f.StringArrayVar(&u.noAttach, "no-attach", nil, "Do not follow the output of this service")
	f.BoolVar(&u.attachDependencies, "attach-dependencies", false, "Follow the output of dependencies, too")
	f.BoolVar(&u.timestamps, "timestamps", false, "Show when each line was written")
	f.BoolVar(&u.noLogPrefix, "no-log-prefix", false, "Do not say whose line it is")
	f.BoolVar(&u.noColor, "no-color", false, "No colours in the output")
	f.BoolVar(&u.dryRun, "dry-run", false, "Change nothing: say what would be done and why, as 'stack plan' does")
	f.StringVar(&u.format, "format", "", "With --dry-run: text or json (default text)")
	f.BoolVar(&u.quietBuild, "quiet-build", false, "Do not show the progress of builds")
	f.BoolVarP(&u.watch, "watch", "w", false, "Do what develop.watch says when files change, as 'stack watch' does")
	f.BoolVar(&u.menu, "menu", false, "")
	f.MarkHidden("menu") //nolint:errcheck // it exists
	return cmd
}

// add defines the flags on cmd.
func (p *planFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.forceRecreate, "force-recreate", false, "Recreate containers although nothing changed")
	f.BoolVar(&p.noRecreate, "no-recreate", false, "Leave existing containers alone although something changed")
	f.BoolVar(&p.removeOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	f.StringArrayVar(&p.scale, "scale", nil, "SERVICE=N: run N containers of the service")
	f.StringVar(&p.pull, "pull", "policy", "When to pull images: always, missing, never, build for what can be built, or policy for each service's own")
	f.BoolVar(&p.build, "build", false, "Build images again that can be built, also when they are here")
	f.BoolVar(&p.noBuild, "no-build", false, "Build no image, also when one is missing")
	f.BoolVar(&p.autoPorts, "auto-ports", false, "Publish a free port where somebody else has the file's, and keep it until down; =false goes back to the file's (STACK_AUTO_PORTS=1)")
	f.BoolVar(&p.quietPull, "quiet-pull", false, "Do not show the progress of pulls")
	f.BoolVarP(&p.yes, "yes", "y", false, "Answer yes to every question")
}

// bringUp does what the flags say, once they agree with each other.
func bringUp(ctx context.Context, run *cli.Run, u upFlags, services []string) error {
	if err := u.check(); err != nil {
		return err
	}
	options, err := u.options(services, run)
	if err != nil {
		return err
	}
	p, err := run.Load(ctx, services)
	if err != nil {
		return err
	}
	for _, list := range [][]string{u.attach, u.noAttach, optional(u.exitCodeFrom), slices.Sorted(maps.Keys(options.Scale))} {
		if err := selection.Check(p, list); err != nil {
			return err
		}
	}
	daemon := run.Connect()
	var watched *watching
	if u.watch && !u.dryRun {
		rules, err := watchRules(run, p, services)
		if err != nil {
			return err
		}
		// From here on a change is one: what changes while images are built is not lost.
		watched = &watching{run: run, quiet: u.quietBuild, prune: true}
		watched.begin(daemon, p, rules)
		defer watched.session.Close()
	}
	chosen := selection.Chosen(p, services, u.noDeps)
	if !u.dryRun {
		if p, err = sources.FetchDue(ctx, run, daemon, p, options); err != nil {
			return err
		}
	}
	if u.dryRun {
		if err := provision.Check(run, p, chosen); err != nil {
			return err
		}
		return preview.Plan(ctx, run, daemon, p, options, u.format, u.output)
	}
	if err := provision.Provide(ctx, run, daemon, p, options, chosen); err != nil {
		return err
	}
	if watched != nil {
		watched.session.SetProject(p)
	}
	if u.attached() {
		return upAttached(ctx, run, daemon, p, u, options, watched)
	}
	return daemon.Up(ctx, p, options, run.ImageFilter(u.quietPull, u.quietBuild))
}

// options are the flags in the words of the engine.
func (u upFlags) options(services []string, run *cli.Run) (ask.UpOptions, error) {
	o := ask.UpOptions{
		Services: services, Parallel: run.Flags.Parallel, NoDeps: u.noDeps, NoStart: u.noStart, AlwaysDeps: u.alwaysRecreateDeps, RenewAnon: u.renewAnon,
		Offline: run.Offline(), Wait: u.wait, WaitTimeout: time.Duration(u.waitTimeout) * time.Second, Timeout: u.stopTimeout,
	}
	return o, u.planFlags.fill(&o, run, u.changed)
}
