package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/cmd/stack/logview"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/provision"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// attachment is an up that follows the output: logs are printed above the live lines while services
// start, and afterwards until every container has ended, one ended that ends all, or the user stops it.
type attachment struct {
	run     *cli.Run
	daemon  *client.Client
	project *spec.Project
	flags   upFlags
	scope   []string // services whose containers this up is about
	direct  []string // of them those that it names: what the user stops, as docker compose has it
	show    []string // those whose output is shown
	began   time.Time
	up      chan struct{} // closed when everything has been started
	lost    chan error    // why nobody tells of ends any more
	watched *watching     // nil = nothing is watched

	mu      sync.Mutex // below: Up's events, the followed log and the end come from several goroutines
	view    *logview.View
	printer progress.Printer
	seen    follow.Places        // how far the logs are printed
	told    map[string]time.Time // by container: the end that was told last
	change  chan struct{}        // capacity 1: something ended
}

func upAttached(ctx context.Context, run *cli.Run, daemon *client.Client, p *spec.Project, u upFlags, o ask.UpOptions, watched *watching) error {
	t := &attachment{
		run: run, daemon: daemon, project: p, flags: u, began: time.Now(), seen: follow.Places{}, told: map[string]time.Time{}, change: make(chan struct{}, 1),
		up: make(chan struct{}), lost: make(chan error, 1), printer: run.Progress(), watched: watched,
	}
	t.scope, t.direct, t.show = attachScope(p, u, o.Services)
	t.view = logview.New(run.Out, run.Err, logview.Options{
		Project: p.Name, Color: run.Color(run.Out) && !u.noColor, NoPrefix: u.noLogPrefix, Timestamps: u.timestamps,
		OutTerminal: terminal.Of(run.Out) != nil, ErrTerminal: terminal.Of(run.Err) != nil,
	})
	for _, s := range t.show {
		for n := 1; n <= replicas(p, o, s); n++ {
			t.view.Expect(containerName(p, s, n), s, n)
		}
	}
	return t.hold(ctx, o)
}

// attachScope is which services an up is about, which of them it names, and whose output it shows.
func attachScope(p *spec.Project, u upFlags, named []string) (scope, direct, show []string) {
	scope = slices.Sorted(maps.Keys(p.Services))
	direct = scope
	if len(named) > 0 {
		direct = slices.Sorted(slices.Values(named))
		scope = direct
		if !u.noDeps {
			scope = selection.WithDependencies(p, named)
		}
	}
	from := direct
	if u.attachDependencies {
		from = scope
	}
	if len(u.attach) > 0 {
		from = u.attach
	}
	for _, s := range from {
		svc := p.Services[s]
		if svc != nil && svc.Provider != nil {
			continue // it has no output
		}
		silent := svc != nil && svc.Attach != nil && !*svc.Attach && len(u.attach) == 0
		if !silent && !slices.Contains(u.noAttach, s) && !slices.Contains(show, s) {
			show = append(show, s)
		}
	}
	return scope, direct, show
}

func replicas(p *spec.Project, o ask.UpOptions, service string) int {
	if n, ok := o.Scale[service]; ok {
		return n
	}
	if s := p.Services[service]; s != nil {
		return s.Replicas
	}
	return 0
}

func containerName(p *spec.Project, service string, n int) string {
	if s := p.Services[service]; s != nil && s.ContainerName != "" {
		return s.ContainerName
	}
	return fmt.Sprintf("%s-%s-%d", p.Name, service, n)
}

// hold brings the project up and stays until it is to end.
func (t *attachment) hold(parent context.Context, o ask.UpOptions) error {
	interrupted := make(chan struct{}, 8)
	before := t.run.Interrupts.Handle(func(os.Signal) {
		select {
		case interrupted <- struct{}{}:
		default:
		}
	})
	defer t.run.Interrupts.Handle(before)
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	stopFollowing := t.beginToFollow(parent)
	defer stopFollowing()
	finish := func() error {
		stopFollowing()
		return t.settle(parent)
	}
	upDone := make(chan error, 1)
	go func() {
		upDone <- t.daemon.Up(ctx, t.project, o, t.run.ImageFilter(t.flags.quietPull, t.flags.quietBuild))
	}()
	select {
	case err := <-upDone:
		if errors.Is(err, errdefs.ErrUnavailable) {
			t.run.EndProgress()
			stopFollowing()
			return errors.Join(err, t.unbroken()) // there is nobody to ask for the rest
		}
		if err != nil {
			t.run.EndProgress()
			return errors.Join(err, finish())
		}
	case <-interrupted:
		cancel()
		<-upDone
		return exitcode.With(exitcode.Cancelled, t.stop(parent, t.direct, interrupted), finish())
	}
	t.mu.Lock()
	t.run.EndProgress()
	t.printer = nil
	t.mu.Unlock()
	close(t.up)
	endWatch, idled := t.watch(parent)
	defer endWatch()
	for {
		settled := t.undisturbed()
		culprit, running, err := t.look(parent)
		switch {
		case err != nil:
			endWatch()
			return errors.Join(err, finish())
		case !settled():
			// What has ended may have ended for the watch.
		case culprit != nil:
			endWatch()
			t.say("Aborting on container exit...")
			err := errors.Join(t.stop(parent, t.scope, interrupted), finish())
			return exitcode.With(t.final(culprit.Code), err)
		case !running && t.watched == nil:
			err := finish()
			return exitcode.With(t.final(0), err)
		}
		select {
		case <-t.change:
		case <-idled:
		case err := <-t.lost:
			stopFollowing()
			return errors.Join(fmt.Errorf("cannot follow the output any longer: %w\ncontainers run on meanwhile", err), t.unbroken())
		case <-interrupted:
			endWatch()
			return exitcode.With(exitcode.Cancelled, t.stop(parent, t.direct, interrupted), finish())
		}
	}
}

// beginToFollow follows the project's events, and the output of what is to be shown. stop ends that, and returns when it has ended.
func (t *attachment) beginToFollow(parent context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(parent)
	var followed sync.WaitGroup
	followed.Go(func() {
		o := event.Window{Since: t.began} // and not since this comes to it: something may have ended by then
		err := t.follow(ctx, func() error {
			if o.Since != t.began {
				t.changed() // what ended between two daemons nobody may tell
			}
			defer func() { o.Since = time.Now() }()
			return t.daemon.Events(ctx, t.project.Name, o, func(e event.Event) { t.event(ctx, e) })
		})
		if err != nil && ctx.Err() == nil {
			t.lost <- err
		}
	})
	if len(t.show) > 0 {
		followed.Go(func() {
			for {
				err := t.follow(ctx, func() error { // read to the end by settle
					return t.daemon.Logs(ctx, t.project.Name, t.logOptions(true), t.entries())
				})
				if t.watched == nil || err != nil || ctx.Err() != nil {
					return
				}
				// All has ended, and a change may bring something back.
			}
		})
	}
	return func() {
		cancel()
		followed.Wait()
	}
}

// follow calls read, and once everything is up again when the daemon has gone away. An up that is cut short goes on with none: it ends, and says why.
func (t *attachment) follow(ctx context.Context, read func() error) error {
	return follow.GoOn(ctx, func() error {
		err := read()
		if errors.Is(err, errdefs.ErrUnavailable) {
			select {
			case <-t.up:
			case <-ctx.Done():
			}
		}
		return err
	})
}

// containers are those of the project.
func (t *attachment) containers(ctx context.Context) (all []ask.Container, err error) {
	err = follow.GoOn(ctx, func() (err error) {
		all, err = t.daemon.Containers(ctx, t.project.Name)
		return err
	})
	return all, err
}

// look finds out whether anything runs, and the end that is to end all, if there is one.
func (t *attachment) look(ctx context.Context) (culprit *process.Exit, running bool, err error) {
	all, err := t.containers(ctx)
	if err != nil {
		return nil, false, err
	}
	// What is on the host and not the events: those may come late or not at all.
	for _, c := range all {
		switch {
		case !slices.Contains(t.scope, c.Service) || c.OneOff:
		case c.State == "restarting":
			running = true
			time.AfterFunc(time.Second, t.changed) // nobody tells when it is given up
		case c.State == "running", c.State == "paused":
			running = true
		case c.State == "exited" && c.Exit != nil && c.Exit.FinishedAt.After(t.began):
			ends := t.flags.abortOnExit || t.flags.abortOnFailure && c.Exit.Code != 0
			if ends && (culprit == nil || c.Exit.FinishedAt.Before(culprit.FinishedAt)) {
				culprit = c.Exit
			}
		}
	}
	return culprit, running, nil
}

// final is the exit code: --exit-code-from asks for one service's, seen after everything stopped.
func (t *attachment) final(code int) int {
	if t.flags.exitCodeFrom == "" {
		return code
	}
	all, err := t.containers(context.Background())
	if err != nil {
		return exitcode.Failed
	}
	var first *ask.Container
	for i, c := range all {
		if c.Service == t.flags.exitCodeFrom && !c.OneOff && c.Exit != nil && (first == nil || c.Exit.FinishedAt.Before(first.Exit.FinishedAt)) {
			first = &all[i]
		}
	}
	if first == nil {
		return code
	}
	return first.Exit.Code
}

// stop ends the containers of services: gracefully, and by SIGKILL once the user asks again.
func (t *attachment) stop(ctx context.Context, services []string, interrupted <-chan struct{}) error {
	t.say("Gracefully stopping... (press Ctrl+C again to force)")
	t.mu.Lock()
	t.printer = t.run.Progress()
	show := t.printer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.printer = nil
		t.run.EndProgress()
		t.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	o := ask.ServiceOptions{Services: services, Timeout: t.flags.stopTimeout, Known: true} // somebody else may have taken a container away
	go func() {
		done <- provision.TakeBack(ctx, t.run, t.project, "stop", services, func(names []string) error {
			o := o
			o.Services = names
			return follow.GoOn(ctx, func() error { return t.daemon.Stop(ctx, t.project.Name, o, show.Event) })
		})
	}()
	select {
	case err := <-done:
		return err
	case <-interrupted:
	}
	// The stop goes on and sees them end.
	o.Signal = "SIGKILL"
	o.Services = slices.DeleteFunc(slices.Clone(services), func(s string) bool { return t.project.Services[s] != nil && t.project.Services[s].Provider != nil })
	err := follow.GoOn(ctx, func() error { return t.daemon.Kill(ctx, t.project.Name, o, show.Event) })
	select {
	case stopped := <-done:
		return errors.Join(err, stopped)
	case <-interrupted:
		return err
	}
}
