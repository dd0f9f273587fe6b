package watch

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/cmd/stack/watch/rule"
	"github.com/stackrun/stack/cmd/stack/watch/tree"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Daemon is what a session asks for: *client.Client.
type Daemon interface {
	Containers(ctx context.Context, project string) ([]ask.Container, error)
	Events(ctx context.Context, project string, o event.Window, s event.Sink) error
	Up(ctx context.Context, p *spec.Project, o ask.UpOptions, s event.Sink) error
	Restart(ctx context.Context, project string, o ask.ServiceOptions, s event.Sink) error
	Exec(ctx context.Context, project string, o ask.ExecOptions, io process.IO) (process.Exit, error)

	CompareFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error)
	RemoveFiles(ctx context.Context, project string, o ask.FilesOptions) ([]archive.Difference, error)
	CopyIn(ctx context.Context, project string, o ask.CopyInOptions, r io.Reader, s event.Sink) error
}

// Options of a session.
type Options struct {
	Tell    func(Line)        // what has been done; is called by several goroutines
	Say     func(text string) // what the user should know besides
	Sink    event.Sink        // the progress of builds, restarts
	Prune   bool              // images that builds take the names from are removed
	Offline bool              // builds fetch nothing
	Command string            // as typed, for the history
	// GoOn calls f, and again when the daemon has gone away meanwhile.
	GoOn func(ctx context.Context, f func() error) error
}

// Session watches the files of a project's services.
type Session struct {
	daemon  Daemon
	project *spec.Project
	rules   rule.Rules
	tree    *tree.Tree
	workers map[string]*worker
	o       Options

	mu        sync.Mutex
	restarted map[string]time.Time // by service: when the last restart began that was the session's
	begun     int                  // jobs, and of them those that are not done
	busy      int
	idle      chan struct{} // of capacity 1
}

// New begins to watch the paths of rules: what changes from now on is a change. Run carries out what follows. The project may be another one by then, of the same
// services: SetProject.
func New(daemon Daemon, p *spec.Project, rules rule.Rules, o Options) *Session {
	s := &Session{daemon: daemon, project: p, rules: rules, o: o, workers: map[string]*worker{}, restarted: map[string]time.Time{}, idle: make(chan struct{}, 1)}
	s.tree = tree.Open(rules.Roots(), rules, tree.Options{Say: o.Say})
	for _, r := range rules {
		if s.workers[r.Service] == nil {
			s.workers[r.Service] = newWorker(s, r.Service)
		}
	}
	return s
}

// SetProject has builds made of p. Precondition: Run has not begun.
func (s *Session) SetProject(p *spec.Project) { s.project = p }

// Close ends the watching. Precondition: Run has returned, or was never called.
func (s *Session) Close() { s.tree.Close() }

// Services are those that are watched.
func (s *Session) Services() []string { return slices.Sorted(maps.Keys(s.workers)) }

// Unmatched are the rules that no file is of at present, which is likely to be a mistake.
func (s *Session) Unmatched() (rules []*rule.Rule) {
	files := s.tree.Files()
	for _, r := range s.rules {
		if !slices.ContainsFunc(files, func(f tree.File) bool { return !f.Dir && r.Matches(f.Path) }) {
			rules = append(rules, r)
		}
	}
	return rules
}

// Count is how many files are watched.
func (s *Session) Count() int {
	n := 0
	for _, f := range s.tree.Files() {
		if !f.Dir {
			n++
		}
	}
	return n
}

// Run carries out what follows from changes, until ctx ends.
func (s *Session) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, w := range s.workers {
		w.give(nil) // the containers that there are want a look
		all.Go(func() { w.run(ctx) })
	}
	all.Go(func() { s.listen(ctx) })
	for {
		changes, err := s.tree.Next(ctx)
		if err != nil {
			return
		}
		s.dispatch(s.rules.Batch(changes))
	}
}

// dispatch hands each service's work to its worker.
func (s *Session) dispatch(batch map[string]*rule.Work) {
	jobs := map[string]*job{}
	for service, work := range batch {
		jobs[service] = &job{work: work, copied: make(chan struct{}), done: make(chan struct{})}
	}
	for service, j := range jobs {
		// Who is restarted with another one is not to be restarted twice: that one waits until the files of both are there, and this one for it.
		for _, on := range restartedWith(s.project, service) {
			if other := jobs[on]; other != nil {
				j.after = append(j.after, other.done)
				other.after = append(other.after, j.copied)
			}
		}
	}
	for _, service := range slices.Sorted(maps.Keys(jobs)) {
		s.workers[service].give(jobs[service])
	}
}

// restartedWith are the services whose restart restarts service too, by depends_on.restart.
func restartedWith(p *spec.Project, service string) []string {
	var all []string
	for todo := []string{service}; len(todo) > 0; todo = todo[1:] {
		if p.Services[todo[0]] == nil {
			continue
		}
		for on, d := range p.Services[todo[0]].DependsOn {
			if d.Restart && !slices.Contains(all, on) {
				all = append(all, on)
				todo = append(todo, on)
			}
		}
	}
	return all
}

// restartsWith are the services that are restarted when service is.
func restartsWith(p *spec.Project, service string) []string {
	var all []string
	for name := range p.Services {
		if slices.Contains(restartedWith(p, name), service) {
			all = append(all, name)
		}
	}
	return all
}

// listen has a service looked at when something happens to its containers: new ones want what was copied into the old ones.
func (s *Session) listen(ctx context.Context) {
	o := event.Window{Since: time.Now()}
	for ctx.Err() == nil {
		err := s.o.GoOn(ctx, func() error {
			for _, w := range s.workers {
				w.give(nil) // what happened between two daemons nobody tells
			}
			return s.daemon.Events(ctx, s.project.Name, o, func(e event.Event) {
				if w := s.workers[e.Service]; w != nil && e.Kind == "container" && e.Phase == event.Done {
					w.give(nil)
				}
			})
		})
		if ctx.Err() == nil {
			s.o.Say(fmt.Sprintf("cannot hear of containers that are made anew: %v", err))
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // there may be a daemon again by then; files are copied meanwhile
			}
		}
	}
}

// Doings is how many things the session has begun to do to containers, and whether one is not done.
func (s *Session) Doings() (begun int, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun, s.busy > 0
}

// Idled receives when nothing is being done any more.
func (s *Session) Idled() <-chan struct{} { return s.idle }

func (s *Session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	s.busy++
}

func (s *Session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy--; s.busy == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// short is a path as it is told: relative to the project, where it is in it.
func (s *Session) short(path string) string {
	if rel, err := filepath.Rel(s.project.Dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
