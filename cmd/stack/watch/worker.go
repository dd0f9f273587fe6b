package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

// worker carries out what follows for one service, one thing at a time.
type worker struct {
	s       *Session
	service string

	mu   sync.Mutex
	next *task         // what has come while something was done, as one
	wake chan struct{} // of capacity 1

	// Below: only its own goroutine.
	copied map[string]rule.Copy    // all that was copied since the session began, by the path in the container
	known  map[string]bool         // containers, by id, that have it
	owed   map[string][]*rule.Rule // by container: whose commands are run in it once it runs
}

// job is a service's part of a batch.
type job struct {
	work   *rule.Work
	copied chan struct{}     // closed when its files are there
	done   chan struct{}     // closed when all is done
	after  []<-chan struct{} // what a restart waits for
}

// task is one or more jobs of a service, as one; or none, a look at its containers.
type task struct {
	work  rule.Work
	jobs  []*job
	files bool // those jobs have heard that their files are there
}

func (t *task) copied() {
	if !t.files {
		for _, j := range t.jobs {
			close(j.copied)
		}
	}
	t.files = true
}

func newWorker(s *Session, service string) *worker {
	return &worker{s: s, service: service, wake: make(chan struct{}, 1), copied: map[string]rule.Copy{}, known: map[string]bool{}, owed: map[string][]*rule.Rule{}}
}

// give has j done; nil: containers are to be looked at.
func (w *worker) give(j *job) {
	if j != nil {
		w.s.begin()
		w.mu.Lock()
		if w.next == nil {
			w.next = &task{work: rule.Work{Changed: map[string]bool{}, Copy: map[string]rule.Copy{}}}
		}
		w.next.work.Add(j.work)
		w.next.jobs = append(w.next.jobs, j)
		w.mu.Unlock()
	}
	w.rouse()
}

func (w *worker) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		w.mu.Lock()
		t := w.next
		w.next = nil
		w.mu.Unlock()
		if t == nil {
			t = &task{}
		}
		if line := w.do(ctx, t); ctx.Err() == nil && !line.empty() {
			w.s.o.Tell(line)
		}
		t.copied()
		for _, j := range t.jobs {
			close(j.done)
			w.s.end()
		}
	}
}

// do carries work out: build, copy, restart, commands, in this order. What can be done is done although something before it has failed, where
// it makes sense without.
func (w *worker) do(ctx context.Context, t *task) (line Line) {
	work := &t.work
	began := time.Now()
	line = Line{Service: w.service}
	for _, name := range slices.Sorted(maps.Keys(work.Changed)) {
		line.Changed = append(line.Changed, w.s.short(name))
	}
	var errs []error
	defer func() { line.Took, line.Err = time.Since(began), errors.Join(errs...) }()
	built := false
	if work.Rebuild {
		did, err := w.rebuild(ctx)
		if built = err == nil; built {
			line.Did = append(line.Did, did)
		} else {
			errs = append(errs, fmt.Errorf("not built: %w", err))
		}
	}
	maps.Copy(w.copied, work.Copy)
	c, err := w.copy(ctx, work.Copy)
	copied := time.Now()
	t.copied()
	if err != nil {
		errs = append(errs, err)
	}
	line.Did = append(line.Did, c.did()...)
	// A container that was just made anew has begun with what a `restart` is for.
	if c.restart || work.Restart && !built {
		switch did, err := w.restart(ctx, copied, t); {
		case err != nil:
			errs = append(errs, fmt.Errorf("not restarted: %w", err))
		default:
			line.Did = append(line.Did, did)
		}
	}
	for _, e := range c.commands {
		did, err := w.exec(ctx, e)
		if err != nil {
			errs = append(errs, err)
		}
		if did != "" {
			line.Did = append(line.Did, did)
		}
	}
	return line
}

// again calls f, and again when the daemon goes away meanwhile: all that is asked of it may be asked twice.
func (w *worker) again(ctx context.Context, f func() error) error { return w.s.o.GoOn(ctx, f) }

// containers are the service's, by replica.
func (w *worker) containers(ctx context.Context) (own []ask.Container, err error) {
	err = w.again(ctx, func() error {
		all, err := w.s.daemon.Containers(ctx, w.s.project.Name)
		own = own[:0]
		for _, c := range all {
			if c.Service == w.service && !c.OneOff {
				own = append(own, c)
			}
		}
		return err
	})
	slices.SortFunc(own, func(a, b ask.Container) int { return a.Replica - b.Replica })
	return own, err
}

// rebuild builds the service's image, and makes its containers anew if that is another one. There are as many of them as there were.
func (w *worker) rebuild(ctx context.Context) (did string, err error) {
	before, err := w.containers(ctx)
	if err != nil {
		return "", err
	}
	o := ask.UpOptions{Services: []string{w.service}, NoDeps: true, Build: true, Prune: w.s.o.Prune, Offline: w.s.o.Offline, IgnoreOrphans: true, Command: w.s.o.Command}
	if len(before) > 0 {
		o.Scale = map[string]int{w.service: len(before)}
	}
	if err := w.again(ctx, func() error { return w.s.daemon.Up(ctx, w.s.project, o, w.s.o.Sink) }); err != nil {
		return "", err
	}
	now, err := w.containers(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range now {
		if !slices.ContainsFunc(before, func(b ask.Container) bool { return b.ID == c.ID }) {
			return "built, " + containers(len(now), "made anew"), nil
		}
	}
	return "built, the image is the same", nil
}

// restart restarts the service's containers, unless the session has done that with another service since the time since.
func (w *worker) restart(ctx context.Context, since time.Time, t *task) (did string, err error) {
	defer w.rouse() // what it was roused for while it waited is to be looked at
	for _, j := range t.jobs {
		for _, ch := range j.after {
			if did, err := w.await(ctx, ch); did != "" || err != nil {
				return did, err
			}
		}
	}
	s := w.s
	s.mu.Lock()
	with := s.restarted[w.service].After(since)
	s.mu.Unlock()
	if with { // but for what was stopped
		own, err := w.containers(ctx)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(own, func(c ask.Container) bool { return c.State == "running" }) {
			return "restarted with what it depends on", nil
		}
	}
	began := time.Now()
	o := ask.ServiceOptions{Services: []string{w.service}, Command: s.o.Command}
	if err := w.again(ctx, func() error { return s.daemon.Restart(ctx, s.project.Name, o, s.o.Sink) }); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range append(restartsWith(s.project, w.service), w.service) {
		s.restarted[name] = began
	}
	return "restarted", nil
}

// await waits for ch, but for no longer than until there is more to be done: whoever is waited for may wait for that. The restart comes with it then.
func (w *worker) await(ctx context.Context, ch <-chan struct{}) (did string, err error) {
	for {
		select {
		case <-ch:
			return "", nil
		case <-ctx.Done():
			return "", ctx.Err()
		case <-w.wake:
			w.mu.Lock()
			more := w.next != nil
			if more {
				w.next.work.Restart = true
			}
			w.mu.Unlock()
			if more {
				return "to be restarted with the next change", nil
			}
		}
	}
}

// command is one to be run.
type command struct {
	rule *rule.Rule
	in   string // a container's id; "" = all that run
}

// exec runs c in the service's containers.
func (w *worker) exec(ctx context.Context, e command) (did string, err error) {
	all, err := w.containers(ctx)
	if err != nil {
		return "", err
	}
	r := e.rule
	o := ask.ExecOptions{Service: w.service, Args: r.Exec.Command, User: r.Exec.User, Cwd: r.Exec.WorkingDir, Privileged: r.Exec.Privileged}
	for _, k := range slices.Sorted(maps.Keys(r.Exec.Environment)) {
		if v := r.Exec.Environment[k]; v != nil { // nil: of a variable that the project does not have
			o.Env = append(o.Env, k+"="+*v)
		}
	}
	what := "`" + strings.Join(r.Exec.Command, " ") + "`"
	var errs []error
	ran := 0
	for _, c := range all {
		if e.in != "" && e.in != c.ID {
			continue
		}
		if c.State == "paused" { // it goes on with what was copied, and nobody would know that the command is missing
			errs = append(errs, fmt.Errorf("%s is not run in %s, which is paused", what, c.Name))
		}
		if c.State != "running" {
			continue
		}
		var out bytes.Buffer
		o.Index, o.Container = c.Replica, c.ID
		// Not again: a command may have done its work.
		exit, err := w.s.daemon.Exec(ctx, w.s.project.Name, o, process.IO{Stdout: &out, Stderr: &out})
		switch {
		case err != nil && w.state(ctx, c) == "": // somebody has taken it away meanwhile; there will be another one to look at, or none
		case err != nil:
			errs = append(errs, fmt.Errorf("%s in %s: %w", what, c.Name, err))
		case exit.Code != 0:
			errs = append(errs, fmt.Errorf("%s in %s ended with code %d%s", what, c.Name, exit.Code, lastLines(out.String())))
		default:
			ran++
		}
	}
	if ran > 0 {
		did = "ran " + what
	}
	return did, errors.Join(errs...)
}

// lastLines is the end of what a command has printed, for an error.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	if len(lines) > 10 {
		lines = lines[len(lines)-10:]
	}
	return ":\n  " + strings.Join(lines, "\n  ")
}

// copying is what became of an attempt to copy, and what follows from it.
type copying struct {
	copied, removed int  // files, in the container where it was the most
	fresh           bool // a container had nothing of it yet
	same            bool // there was something to copy, and every container had it
	none            bool // there was something to copy, and no container
	restart         bool
	commands        []command
}

func (c *copying) did() (did []string) {
	again := ""
	if c.fresh {
		again = " into a new container"
	}
	if c.copied > 0 {
		did = append(did, files(c.copied)+" copied"+again)
	}
	if c.removed > 0 {
		did = append(did, files(c.removed)+" removed")
	}
	if c.same {
		did = append(did, "the container has it already")
	}
	if c.none {
		did = append(did, "not copied: there is no container")
	}
	return did
}

// copy brings containers to what has changed; those that are new, to all that was copied before, and what initial_sync is for.
func (w *worker) copy(ctx context.Context, changed map[string]rule.Copy) (copying, error) {
	var out copying
	if !slices.ContainsFunc(w.s.rules, func(r *rule.Rule) bool { return r.Service == w.service && r.Copies() }) {
		return out, nil
	}
	own, err := w.containers(ctx)
	if err != nil {
		return out, err
	}
	var errs []error
	known, owed, differ := map[string]bool{}, map[string][]*rule.Rule{}, false
	var all []*rule.Rule // whose commands are run in every container
	for _, c := range own {
		owed[c.ID] = w.owed[c.ID]
		todo := changed
		if !w.known[c.ID] {
			todo = w.everything()
		}
		if len(todo) == 0 {
			known[c.ID] = true
			continue
		}
		d, err := w.send(ctx, c, todo)
		if err != nil && w.state(ctx, c) == "" {
			continue // somebody has taken it away meanwhile; there will be another one to look at, or none
		}
		if err != nil {
			// It gets everything the next time.
			errs = append(errs, fmt.Errorf("not copied into %s: %w", c.Name, err))
			continue
		}
		known[c.ID] = true
		out.fresh = out.fresh || !w.known[c.ID] && len(d.paths) > 0
		out.copied, out.removed, differ = max(out.copied, d.copied), max(out.removed, d.removed), differ || len(d.paths) > 0
		restart, commands := rule.Consequences(todo, d.paths)
		if (restart || len(commands) > 0) && w.starts(ctx, c) {
			// It will begin with what has been copied.
			owed[c.ID] = union(owed[c.ID], commands)
			continue
		}
		out.restart = out.restart || restart
		if w.known[c.ID] {
			all = union(all, commands)
		} else {
			owed[c.ID] = union(owed[c.ID], commands)
		}
	}
	for _, c := range own {
		if c.State != "running" && len(owed[c.ID]) > 0 {
			continue // it is looked at when it has started
		}
		for _, r := range owed[c.ID] {
			if !slices.Contains(all, r) {
				out.commands = append(out.commands, command{rule: r, in: c.ID})
			}
		}
		delete(owed, c.ID)
	}
	for _, r := range all {
		out.commands = append(out.commands, command{rule: r})
	}
	w.known, w.owed = known, owed
	out.none = len(changed) > 0 && len(own) == 0
	out.same = len(changed) > 0 && len(own) > 0 && len(errs) == 0 && !differ
	return out, errors.Join(errs...)
}

// starts says whether c has still not been started, now that files were copied into it.
func (w *worker) starts(ctx context.Context, c ask.Container) bool {
	return c.State == "created" && w.state(ctx, c) == "created"
}

// state is the state of c now: "" if it is not there any more, "unknown" if nobody can say.
func (w *worker) state(ctx context.Context, c ask.Container) string {
	now, err := w.containers(ctx)
	if err != nil {
		return "unknown"
	}
	for _, n := range now {
		if n.ID == c.ID {
			return n.State
		}
	}
	return ""
}

// union is a with those of b that it has not.
func union(a, b []*rule.Rule) []*rule.Rule {
	for _, r := range b {
		if !slices.Contains(a, r) {
			a = append(a, r)
		}
	}
	return a
}

// everything is what a container must have that is new.
func (w *worker) everything() map[string]rule.Copy {
	all := map[string]rule.Copy{}
	var files []rule.Change
	for _, f := range w.s.tree.Files() {
		files = append(files, rule.Change{Path: f.Path, Dir: f.Dir})
	}
	w.s.rules.Initial(w.service, files, all)
	maps.Copy(all, w.copied)
	return all
}

// dirFirst orders paths so that a directory comes before what is in it.
func dirFirst(all map[string]rule.Copy) []string {
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int { return strings.Compare(path.Clean(a), path.Clean(b)) })
}
