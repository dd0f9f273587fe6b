package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/logview"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/spec"
)

// attachment is an up that follows the output: logs are printed above the live lines while services
// start, and afterwards until every container has ended, one ended that ends all, or the user stops it.
type attachment struct {
	app     *app
	daemon  *client.Client
	project *spec.Project
	flags   upFlags
	scope   []string // services whose containers this up is about
	show    []string // those whose output is shown
	began   time.Time

	mu      sync.Mutex // below: Up's events, the followed log and the end come from several goroutines
	view    *logview.View
	printer progress.Printer
	seen    map[string]mark   // by container: what of its log is printed
	exits   []reconcile.Event // in the order in which containers ended
	change  chan struct{}     // capacity 1: something ended
}

// mark is the last line printed of a container and how many lines bear its time.
type mark struct {
	at time.Time
	n  int
}

func (a *app) upAttached(ctx context.Context, daemon *client.Client, p *spec.Project, u upFlags, o reconcile.UpOptions) error {
	t := &attachment{
		app: a, daemon: daemon, project: p, flags: u, began: time.Now(), seen: map[string]mark{}, change: make(chan struct{}, 1),
		printer: a.progress(),
	}
	t.scope, t.show = attachScope(p, u, o.Services)
	t.view = logview.New(a.out, a.err, logview.Options{
		Project: p.Name, Color: a.color(a.out) && !u.noColor, NoPrefix: u.noLogPrefix, Timestamps: u.timestamps,
	})
	for _, s := range t.show {
		for n := 1; n <= replicas(p, o, s); n++ {
			t.view.Expect(containerName(p, s, n), s, n)
		}
	}
	return t.run(ctx, o)
}

// attachScope is which services an up is about, and whose output it shows.
func attachScope(p *spec.Project, u upFlags, named []string) (scope, show []string) {
	scope = sortedKeys(p.Services)
	direct := scope
	if len(named) > 0 {
		direct = slices.Sorted(slices.Values(named))
		scope = direct
		if !u.noDeps {
			scope = withDependencies(p, named)
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
		silent := svc != nil && svc.Attach != nil && !*svc.Attach && len(u.attach) == 0
		if !silent && !slices.Contains(u.noAttach, s) && !slices.Contains(show, s) {
			show = append(show, s)
		}
	}
	return scope, show
}

func replicas(p *spec.Project, o reconcile.UpOptions, service string) int {
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

func (t *attachment) run(parent context.Context, o reconcile.UpOptions) error {
	interrupted := make(chan struct{}, 8)
	before := t.app.interrupts.handle(func(os.Signal) {
		select {
		case interrupted <- struct{}{}:
		default:
		}
	})
	defer t.app.interrupts.handle(before)
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	following, stopFollowing := context.WithCancel(parent)
	defer stopFollowing()

	go t.daemon.Events(following, t.project.Name, t.event) //nolint:errcheck // looked at again whenever something ends
	var followed sync.WaitGroup
	if len(t.show) > 0 {
		followed.Go(func() {
			t.daemon.Logs(following, t.project.Name, t.logOptions(true), t.entry) //nolint:errcheck // read to the end below
		})
	}
	finish := func() error {
		stopFollowing()
		followed.Wait()
		return t.readRest(parent)
	}
	upDone := make(chan error, 1)
	go func() { upDone <- t.daemon.Up(ctx, t.project, o, t.app.pullFilter(t.flags.quietPull)) }()
	select {
	case err := <-upDone:
		if err != nil {
			t.app.endProgress()
			return errors.Join(err, finish())
		}
	case <-interrupted:
		cancel()
		<-upDone
		return errors.Join(t.stop(parent, interrupted), finish(), &exitError{code: exitCancelled})
	}
	t.mu.Lock()
	t.printer.Close()
	t.printer = nil
	t.app.printer = nil
	t.mu.Unlock()
	for {
		code, over, err := t.over(parent)
		if err != nil {
			return errors.Join(err, finish())
		}
		if over {
			return errors.Join(t.conclude(parent, code, interrupted), finish(), exitWith(t.final(code)))
		}
		select {
		case <-t.change:
		case <-interrupted:
			return errors.Join(t.stop(parent, interrupted), finish(), &exitError{code: exitCancelled})
		}
	}
}

func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// event notes a container's end and says so.
func (t *attachment) event(e reconcile.Event) {
	if e.Kind != "container" || !slices.Contains(t.scope, e.Service) {
		return
	}
	t.mu.Lock()
	if e.Exit != nil && e.Time.After(t.began) {
		t.exits = append(t.exits, e)
		if slices.Contains(t.show, e.Service) {
			t.above(func() error {
				return t.view.Line(fmt.Sprintf("%s exited with code %d", t.view.Name(e.Name, e.Service, 0), *e.Exit))
			})
		}
	}
	t.mu.Unlock()
	select {
	case t.change <- struct{}{}:
	default:
	}
}

func (t *attachment) logOptions(follow bool) reconcile.LogOptions {
	return reconcile.LogOptions{Services: t.show, Follow: follow, Linger: follow, Tail: -1, Since: t.began}
}

// entry prints a line once, however often it is read.
func (t *attachment) entry(e reconcile.LogEntry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.seen[e.Container]
	if e.Time.Before(m.at) {
		return nil
	}
	if e.Time.After(m.at) {
		m = mark{at: e.Time}
	}
	m.n++
	t.seen[e.Container] = m
	return t.above(func() error { return t.view.Entry(e) })
}

// above prints above the live lines. Preconditions: t.mu is held.
func (t *attachment) above(print func() error) error {
	if t.printer == nil {
		return print()
	}
	resume := t.printer.Suspend()
	defer resume()
	// The live lines are drawn below, so the line must be whole.
	return errors.Join(print(), t.view.Break())
}

// readRest prints what was written between the last line followed and the end. Nothing is printed twice: lines
// of one moment are counted.
func (t *attachment) readRest(ctx context.Context) error {
	if len(t.show) == 0 {
		return nil
	}
	at := map[string]int{}
	t.mu.Lock()
	before := map[string]mark{}
	for c, m := range t.seen {
		before[c] = m
	}
	t.mu.Unlock()
	o := t.logOptions(false)
	err := t.daemon.Logs(ctx, t.project.Name, o, func(e reconcile.LogEntry) error {
		m := before[e.Container]
		switch {
		case e.Time.Before(m.at):
			return nil
		case e.Time.Equal(m.at):
			if at[e.Container]++; at[e.Container] <= m.n {
				return nil
			}
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.above(func() error { return t.view.Entry(e) })
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(err, t.view.Break())
}

// over looks whether there is nothing to follow any more, and with which code a container ended that ends all.
func (t *attachment) over(ctx context.Context) (code int, over bool, err error) {
	all, err := t.daemon.Containers(ctx, t.project.Name)
	if err != nil {
		return 0, false, err
	}
	over = true
	var ended []reconcile.Container
	for _, c := range all {
		switch {
		case !slices.Contains(t.scope, c.Service) || c.OneOff:
		case c.State == "running", c.State == "restarting", c.State == "paused":
			over = false
		case c.State == "exited" && c.Exit != nil && c.Exit.FinishedAt.After(t.began):
			ended = append(ended, c)
		}
	}
	// What is on the host and not the events: those may come late or not at all.
	slices.SortFunc(ended, func(a, b reconcile.Container) int { return a.Exit.FinishedAt.Compare(b.Exit.FinishedAt) })
	for _, c := range ended {
		switch {
		case t.flags.abortOnFailure && c.Exit.Code != 0, t.flags.abortOnExit:
			return c.Exit.Code, true, nil
		}
	}
	return 0, over, nil
}

// conclude stops what still runs when one container's end is to end all.
func (t *attachment) conclude(ctx context.Context, code int, interrupted <-chan struct{}) error {
	if !t.flags.abortOnExit && !t.flags.abortOnFailure {
		return nil
	}
	t.say("Aborting on container exit...")
	return t.stop(ctx, interrupted)
}

// final is the exit code: --exit-code-from asks for one service's, seen after everything stopped.
func (t *attachment) final(code int) int {
	if t.flags.exitCodeFrom == "" {
		return code
	}
	all, err := t.daemon.Containers(context.Background(), t.project.Name)
	if err != nil {
		return exitFailed
	}
	var first *reconcile.Container
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

// stop ends the containers of this up: gracefully, and by SIGKILL once the user asks again.
func (t *attachment) stop(ctx context.Context, interrupted <-chan struct{}) error {
	t.say("Gracefully stopping... (press Ctrl+C again to force)")
	t.mu.Lock()
	t.printer = t.app.progress()
	show := t.printer
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.printer = nil
		t.app.endProgress()
		t.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	o := reconcile.ServiceOptions{Services: t.scope, Timeout: t.flags.stopTimeout}
	go func() { done <- t.daemon.Stop(ctx, t.project.Name, o, show.Event) }()
	select {
	case err := <-done:
		return err
	case <-interrupted:
	}
	// The stop goes on and sees them end.
	o.Signal = "SIGKILL"
	err := t.daemon.Kill(ctx, t.project.Name, o, show.Event)
	select {
	case stopped := <-done:
		return errors.Join(err, stopped)
	case <-interrupted:
		return err
	}
}

func (t *attachment) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above(func() error { //nolint:errcheck // stderr
		_, err := fmt.Fprintln(t.app.err, text)
		return errors.Join(t.view.Break(), err)
	})
}
