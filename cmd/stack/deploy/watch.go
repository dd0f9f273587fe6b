package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/sources"
	"github.com/stackrun/stack/cmd/stack/watch"
	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// watchFlags are the flags of watch as they stand on the command line.
type watchFlags struct {
	noUp, prune, quiet bool
}

// NewWatchCommand makes the command watch.
func NewWatchCommand(run *cli.Run) *cobra.Command {
	var w watchFlags
	cmd := &cobra.Command{
		Use:   "watch [OPTIONS] [SERVICE...]",
		Short: "Keep containers equal to the sources that their services watch",
		Long: `Brings the project up, builds what has a build and is watched, and does what services.NAME.develop.watch says whenever files change, until Ctrl-C:
copies them into the containers, restarts these, runs a command, or builds the image and makes the containers anew. The containers run on afterwards.

A file whose content is what it was starts nothing. What comes while something is done for a service is done at once afterwards.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			return watchServices(cmd.Context(), run, w, services)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&w.noUp, "no-up", false, "Bring nothing up and build nothing before watching")
	f.BoolVar(&w.prune, "prune", true, "Remove the image that a build has taken the name from")
	f.BoolVar(&w.quiet, "quiet", false, "Do not show the progress of builds")
	return cmd
}

func watchServices(ctx context.Context, run *cli.Run, w watchFlags, services []string) error {
	p, err := run.Load(ctx, services)
	if err != nil {
		return err
	}
	rules, err := watchRules(run, p, services)
	if err != nil {
		return err
	}
	daemon := run.Connect()
	// From here on a change is one: what changes while images are built is not lost.
	t := &watching{run: run, quiet: w.quiet, prune: w.prune}
	t.begin(daemon, p, rules)
	defer t.session.Close()
	if !w.noUp {
		o := ask.UpOptions{Services: services, Parallel: run.Flags.Parallel, Command: run.Command(), IgnoreOrphans: run.Env.Truthy("COMPOSE_IGNORE_ORPHANS"), Prune: w.prune, Offline: run.Offline()}
		if o.Ports, err = run.Env.HostPorts(false, false); err != nil {
			return err
		}
		o.BuildOnly = t.session.Services() // as docker compose does it: what is watched is to begin with what there is
		if p, err = sources.FetchDue(ctx, run, daemon, p, o); err != nil {
			return err
		}
		if err := provision.Provide(ctx, run, daemon, p, o, selection.Chosen(p, services, false)); err != nil {
			return err
		}
		t.session.SetProject(p)
		if err := daemon.Up(ctx, p, o, run.ImageFilter(w.quiet, w.quiet)); err != nil {
			return err
		}
		run.EndProgress()
	}
	t.hello()
	t.session.Run(ctx)
	t.say("Watch ended.")
	return &exitcode.Error{Code: exitcode.Cancelled}
}

// watching is a session as its user sees it.
type watching struct {
	run          *cli.Run
	quiet, prune bool
	session      *watch.Session
	above        func(print func() error) error // prints between what else is printed; nil = there is nothing else

	mu      sync.Mutex
	printer progress.Printer
}

// begin begins to watch.
func (t *watching) begin(daemon *client.Client, p *spec.Project, rules rule.Rules) {
	t.session = watch.New(daemon, p, rules, watch.Options{Tell: t.tell, Say: func(text string) { t.print(func() { t.run.Warn("%s", text) }) }, Sink: t.event, Prune: t.prune, Offline: t.run.Offline(), Command: t.run.Command(), GoOn: follow.GoOn})
}

// hello says what is watched.
func (t *watching) hello() {
	for _, r := range t.session.Unmatched() {
		t.print(func() {
			t.run.Warn("service %s: there is no file that the rule for %s is about, as its include, its ignore and .dockerignore have it", r.Service, r.Path)
		})
	}
	n := t.session.Count()
	files := fmt.Sprintf("%d files", n)
	if n == 1 {
		files = "1 file"
	}
	t.say(fmt.Sprintf("Watching %s for %s. Ctrl-C ends it.", files, joinWords(t.session.Services())))
}

// joinWords is a list as people say it.
func joinWords(words []string) string {
	if len(words) < 2 {
		return fmt.Sprint(slices.Concat(words, []string{""})[0])
	}
	text := words[0]
	for _, w := range words[1 : len(words)-1] {
		text += ", " + w
	}
	return text + " and " + words[len(words)-1]
}

// tell tells what was done.
func (t *watching) tell(l watch.Line) {
	t.print(func() {
		switch progress.Mode(t.run.ProgressMode) {
		case progress.JSON:
			json.NewEncoder(t.run.Err).Encode(l) //nolint:errcheck // stderr
		case progress.Quiet:
			if l.Err != nil {
				fmt.Fprintln(t.run.Err, l)
			}
		default:
			color := "32"
			if l.Err != nil {
				color = "31"
			}
			fmt.Fprintln(t.run.Err, t.run.Paint(t.run.Err, color, "watch:"), l)
		}
	})
}

// say says something about the whole.
func (t *watching) say(text string) {
	t.print(func() {
		switch progress.Mode(t.run.ProgressMode) {
		case progress.JSON:
			json.NewEncoder(t.run.Err).Encode(map[string]any{"watch": true, "message": text}) //nolint:errcheck // stderr
		case progress.Quiet:
		default:
			fmt.Fprintln(t.run.Err, text)
		}
	})
}

// event shows how a build is getting on; of the rest only what goes wrong, for it is told when it is done. Of a failure there is the line that tells what was to be done, and why; programs
// that read JSON get the end of each image too.
func (t *watching) event(e event.Event) {
	if t.quiet && e.Kind == "image" && e.Phase == event.Working || e.Kind != "image" && e.Phase != event.Warning {
		return
	}
	if e.Phase == event.Failed && progress.Mode(t.run.ProgressMode) != progress.JSON {
		return
	}
	t.print(func() {
		if t.printer == nil {
			mode := progress.Mode(t.run.ProgressMode)
			if mode != progress.JSON && mode != progress.Quiet {
				mode = progress.Plain
			}
			t.printer = progress.New(t.run.Err, progress.Options{Mode: mode})
		}
		t.printer.Event(e)
	})
}

// print keeps what goroutines print apart.
func (t *watching) print(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.above == nil {
		f()
		return
	}
	t.above(func() error { f(); return nil }) //nolint:errcheck // stderr
}
