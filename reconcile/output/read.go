package output

import (
	"container/heap"
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime/logs"
)

// Read delivers the output of a project's containers, in order of time across them as far as it is written when the call
// begins; Tail counts per container. With Follow it goes on with what they write as it comes, and with containers that
// appear later, until ctx ends or nothing runs any more. each is never called from two goroutines at once.
func (r *Reader) Read(ctx context.Context, project string, o ask.LogOptions, each func(ask.LogEntry) error) error {
	choice, err := chosen(o)
	if err != nil {
		return err
	}
	list, err := r.logged(ctx, project, o)
	if err != nil {
		return err
	}
	for _, s := range o.Services {
		switch {
		case o.Follow || slices.ContainsFunc(list, func(c *inventory.Container) bool { return c.Service == s }):
		case o.Index != 0:
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("service %q of project %s has no container with number %d", s, project, o.Index))
		default:
			if err := each(ask.LogEntry{Service: s, Notice: true, Line: []byte("it has no container")}); err != nil {
				return err
			}
		}
	}
	f := &follower{in: r, project: project, options: o, each: each, begun: time.Now(), choice: choice, sieves: map[string]*sieve{}, places: map[string]*place{}, sizes: map[string]int64{}}
	var changed <-chan event.Event
	if o.Follow {
		// Before the first look, so that nothing that appears meanwhile is missed.
		listening, cancel := context.WithCancel(ctx)
		defer cancel()
		changed = r.hub.Subscribe(listening, project, event.Window{})
	}
	if err := f.history(ctx, list); err != nil {
		return err
	}
	if err := f.tellSilent(list); err != nil {
		return err
	}
	if err := f.tellLosses(list); err != nil || !o.Follow {
		return err
	}
	return f.follow(ctx, changed)
}

// logged are the containers whose log is asked for.
func (r *Reader) logged(ctx context.Context, project string, o ask.LogOptions) ([]*inventory.Container, error) {
	all, err := inventory.List(ctx, r.drivers, project)
	if err != nil {
		return nil, err
	}
	lasting := map[string]bool{}
	for _, c := range all {
		lasting[c.ID] = !c.OneOff
	}
	return withOtherLogs(slices.DeleteFunc(all, func(c *inventory.Container) bool {
		return c.OneOff && !(asStep(c) && lasting[c.Step.Of]) || len(o.Services) > 0 && !slices.Contains(o.Services, c.Service) || o.Index != 0 && c.Number != o.Index || c.Config == nil || c.Config.Log.Path == ""
	})), nil
}

// place is how far a log has been delivered: the time of the last entry, and how many had just that time.
type place struct {
	time time.Time
	same int
}

type follower struct {
	in      *Reader
	project string
	options ask.LogOptions
	begun   time.Time

	choice *choice // nil = all lines

	mu     sync.Mutex // held while each is called
	each   func(ask.LogEntry) error
	sieves map[string]*sieve // by path
	places map[string]*place // by path
	sizes  map[string]int64  // of logs that nobody writes any more, as far as they are read
}

// Entry gives x to its container. The line stays the reader's.
func Entry(c *inventory.Container, x logs.Entry) ask.LogEntry {
	line := x.Line
	if c.Note != "" {
		line = append([]byte(c.Note), line...)
	}
	return ask.LogEntry{Container: c.Name, Service: c.Service, Replica: c.Number, Time: x.Time, Stream: x.Stream, Line: line, Partial: x.Partial}
}

// notice tells something about c's log.
func (f *follower) notice(c *inventory.Container) func(string) error {
	return func(text string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.each(ask.LogEntry{Container: c.Name, Service: c.Service, Replica: c.Number, Notice: true, Line: []byte(text)})
	}
}

// lines reads the log at path, those of its lines that were asked for.
func (f *follower) lines(ctx context.Context, path string, o logs.Options, each func(logs.Entry) error) error {
	if f.choice == nil {
		return logs.Read(ctx, path, o, each)
	}
	f.mu.Lock()
	s := f.sieves[path]
	if s == nil {
		s = newSieve(f.choice)
		f.sieves[path] = s
	}
	f.mu.Unlock()
	return s.read(ctx, path, o, each)
}

// tellSilent tells of logs of which nothing was shown because no line tells how bad it is what it says.
func (f *follower) tellSilent(list []*inventory.Container) error {
	for _, c := range list {
		if s := f.sieves[c.Config.Log.Path]; s != nil && !c.Past && s.silent() {
			if err := f.notice(c)("none of its lines tells its level"); err != nil {
				return err
			}
		}
	}
	return nil
}

// history delivers what is there, merged by time.
func (f *follower) history(ctx context.Context, list []*inventory.Container) error {
	o := logs.Options{Tail: f.options.Tail, Since: f.options.Since, Until: f.options.Until}
	if len(list) == 1 { // nothing to merge
		c := list[0]
		o.Notice = f.notice(c)
		return f.lines(ctx, c.Config.Log.Path, o, func(x logs.Entry) error { return f.deliver(c, x) })
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	share, err := f.tails(ctx, list, o)
	if err != nil {
		return err
	}
	var merge streams
	for _, c := range list {
		o.Tail = share[c.Config.Log.Path]
		o.Notice = f.notice(c)
		s := f.openStream(ctx, c, o)
		ok, err := s.advance()
		if err != nil {
			return err
		}
		if ok {
			merge = append(merge, s)
		}
	}
	heap.Init(&merge)
	for len(merge) > 0 {
		s := merge[0]
		if err := f.deliver(s.c, *s.next); err != nil {
			return err
		}
		ok, err := s.advance()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&merge, 0)
		} else {
			heap.Pop(&merge)
		}
	}
	return ctx.Err()
}

// deliver hands an entry on and remembers how far the log is read.
func (f *follower) deliver(c *inventory.Container, x logs.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.places[c.Config.Log.Path]
	if p == nil {
		p = &place{}
		f.places[c.Config.Log.Path] = p
	}
	if !p.time.Equal(x.Time) {
		p.time, p.same = x.Time, 0
	}
	p.same++
	return f.each(Entry(c, x))
}

// follow reads on, one goroutine per log, and looks again at each event of the project.
func (f *follower) follow(ctx context.Context, changed <-chan event.Event) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	reading := map[string]bool{} // by path
	over := make(chan string)    // paths that are read to their end
	seen := false
	for {
		// Before the look: work that ends in the middle of it may have changed what it has seen already, and has told that already.
		working := f.in.turns.Released(f.project)
		list, err := f.in.logged(ctx, f.project, f.options)
		if err != nil {
			return err
		}
		for _, c := range list {
			path := c.Config.Log.Path
			s, known := f.in.group.Status(c.ID)
			runs := known && s.State != supervise.Ended
			fresh := known && s.Run > 0 && !s.StartedAt.Before(f.begun)
			seen = seen || fresh
			switch {
			case reading[path], c.Past && c.Note == "": // a predecessor's, which is history
			case runs && !c.Past:
				reading[path], seen = true, true
				wg.Go(func() {
					if err := f.one(ctx, c); err != nil && ctx.Err() == nil {
						cancel(err)
					}
					select {
					case over <- path:
					case <-ctx.Done():
					}
				})
			case fresh || c.Note != "":
				if err := f.ended(ctx, c); err != nil {
					return err
				}
			}
		}
		if working == nil {
			working = f.in.turns.Released(f.project) // or began in it
		}
		if len(reading) == 0 && (seen || !f.options.Linger) && working == nil {
			// All of it has ended. What was written between the last look and the end is still to be read.
			return f.rest(ctx, list)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case path := <-over:
			delete(reading, path)
		case ev, ok := <-changed:
			if !ok {
				return context.Cause(ctx)
			}
			if err := f.tellEvent(ctx, ev); err != nil {
				return err
			}
		case <-working:
		}
	}
}

// one follows one container's log until the container has ended for good.
func (f *follower) one(ctx context.Context, c *inventory.Container) error {
	done := make(chan struct{})
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(done)
		_ = f.in.group.Await(watching, c.ID, func(s supervise.Status) (bool, error) { return s.State == supervise.Ended, nil }) // gone is ended too
	}()
	return f.read(ctx, c, logs.Options{Follow: true, Done: done})
}

// ended delivers what those have written that have come and gone between two looks.
func (f *follower) ended(ctx context.Context, c *inventory.Container) error {
	path := c.Config.Log.Path
	info, err := os.Stat(path)
	if err != nil || info.Size() == f.sizes[path] {
		return nil
	}
	f.sizes[path] = info.Size()
	return f.read(ctx, c, logs.Options{})
}

// rest delivers what came after the last look at logs that nobody writes any more.
func (f *follower) rest(ctx context.Context, list []*inventory.Container) error {
	for _, c := range list {
		if err := f.read(ctx, c, logs.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// read goes on where the log was left.
func (f *follower) read(ctx context.Context, c *inventory.Container, o logs.Options) error {
	o.Tail, o.Since, o.Until = -1, f.options.Since, f.options.Until
	skip := 0
	f.mu.Lock()
	if p := f.places[c.Config.Log.Path]; p != nil {
		o.Since, skip = p.time, p.same
	} else if f.options.Tail == 0 && f.begun.After(o.Since) {
		o.Since = f.begun
	} else if c.CreatedAt.After(f.begun) && c.CreatedAt.After(o.Since) {
		o.Since = c.CreatedAt // it may write on in a file of a predecessor's, of which no line was asked for
	}
	since := o.Since
	f.mu.Unlock()
	if skip == 0 {
		o.Notice = f.notice(c)
	}
	return f.lines(ctx, c.Config.Log.Path, o, func(x logs.Entry) error {
		if skip > 0 && x.Time.Equal(since) {
			skip--
			return nil
		}
		return f.deliver(c, x)
	})
}

// LastLines are the last n lines of a container's log, for a failure's report.
func LastLines(ctx context.Context, c *inventory.Container, n int) []string {
	if c.Config == nil || c.Config.Log.Path == "" {
		return nil
	}
	var lines []string
	// Only this container's: the log is the replica's, and those before it had troubles of their own.
	o := logs.Options{Tail: n, Since: c.CreatedAt}
	if err := logs.Read(ctx, c.Config.Log.Path, o, func(x logs.Entry) error {
		lines = append(lines, string(x.Line))
		return nil
	}); err != nil {
		return []string{err.Error()}
	}
	return lines
}
