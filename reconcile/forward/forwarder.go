package forward

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/internal/logdriver/fluentd"
	"github.com/stackrun/stack/internal/logdriver/gelf"
	"github.com/stackrun/stack/internal/logdriver/journald"
	"github.com/stackrun/stack/internal/logdriver/syslog"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/runtime"
)

// Texts of the events that tell of logs that are sent.
const (
	NotSent   = "Log not sent"
	SentAgain = "Log sent again"
)

const (
	startTime  = 2 * time.Second // who starts a container waits so long at most to hear whether its receiver is there
	removeTime = 5 * time.Second // and who removes one until the rest is sent
)

// Sender sends the messages of one container. All but Close are for one goroutine.
type Sender interface {
	// Send hands messages over. When it fails, any of them may have arrived.
	Send([]logdriver.Message) error
	// Flow is how much was written to the receiver, and how much of it still waits to be received, in a unit of its own. Waiting may be too large, and not too small. Both are 0 where what was sent has arrived
	// when Send returns, or nobody can know more.
	Flow() (written, waiting int64, err error)
	// Gone is closed when the receiver has hung up; nil where that is not known.
	Gone() <-chan struct{}
	// Datagrams says that a receiver which is away refuses what is sent now and then only.
	Datagrams() bool
	Close() error
}

// openers connect to the receiver of a driver's options.
var openers = map[string]func(ctx context.Context, options map[string]string, s *logdriver.Source) (Sender, error){
	"fluentd": func(ctx context.Context, o map[string]string, s *logdriver.Source) (Sender, error) {
		return fluentd.Open(ctx, o, s)
	},
	"gelf": func(ctx context.Context, o map[string]string, s *logdriver.Source) (Sender, error) {
		return gelf.Open(ctx, o, s)
	},
	"journald": func(ctx context.Context, o map[string]string, s *logdriver.Source) (Sender, error) {
		return journald.Open(ctx, o, s)
	},
	"syslog": func(ctx context.Context, o map[string]string, s *logdriver.Source) (Sender, error) {
		return syslog.Open(ctx, o, s)
	},
}

// Options of New.
type Options struct {
	Hub  *event.Hub
	Log  *slog.Logger
	Life context.Context        // feeds end with it
	Go   func(func())           // runs a feed; whoever ends Life waits for it
	Dir  func(id string) string // a directory that goes with the container; cursors are below it
}

// Forwarder has the feeds of the containers whose logs are sent. Safe for concurrent use.
type Forwarder struct {
	o        Options
	open     func(context.Context, *inventory.Container) (Sender, error)
	patience time.Duration // with a receiver that takes nothing

	mu    sync.Mutex
	feeds map[string]*feed // by container
}

// New has no feeds.
func New(o Options) *Forwarder {
	return &Forwarder{o: o, open: connect, patience: patience, feeds: map[string]*feed{}}
}

// sends says whether c's log is sent.
func sends(c *inventory.Container) bool {
	return logdriver.Sends(c.Spec.Logging.Driver) && c.Config != nil && c.Config.Log.Path != ""
}

// Begin follows what c writes from now on. Its log's end is where its output begins, if it has never run. It is called before c starts, so that its receiver is asked meanwhile, and once more when it
// runs: then nobody says of it any more that its last run has ended.
func (w *Forwarder) Begin(c *inventory.Container) {
	if !sends(c) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.feeds[c.ID]; f != nil {
		f.begin()
		f.retry()
		return
	}
	at, found := load(w.o.Dir(c.ID))
	if !found {
		if err := at.begin(c.Config.Log.Path); err != nil {
			w.o.Log.Warn("cannot note how far a log was sent", "container", c.Name, "error", err)
			at.since(time.Now())
		}
	}
	w.start(c, at)
}

// start makes the feed of c. Precondition: mu is held.
func (w *Forwarder) start(c *inventory.Container, at *cursor) *feed {
	ctx, cancel := context.WithCancel(w.o.Life)
	f := &feed{of: w, c: c, cursor: at, cancel: cancel, over: make(chan struct{}), kick: make(chan struct{}, 1), ended: make(chan struct{}), first: make(chan struct{}), failure: make(chan struct{})}
	w.feeds[c.ID] = f
	w.o.Go(func() {
		defer cancel()
		f.run(ctx)
	})
	return f
}

// Adopt goes on with c, which an earlier daemon has left: it runs, or has ended and the rest of its log may not be sent.
func (w *Forwarder) Adopt(c *inventory.Container) {
	if !sends(c) {
		return
	}
	at, found := load(w.o.Dir(c.ID))
	switch {
	case c.Alive():
		if !found {
			at.since(c.StartedAt)
		}
	case !found || c.Status != runtime.Stopped || at.behind(c.Config.Log.Path) == 0:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.feeds[c.ID] == nil {
		if f := w.start(c, at); !c.Alive() {
			f.end()
		}
	}
}

// Report tells sink when the receiver of c, which has just been started, is not there. It waits for the first attempt, two seconds at most, or not at all.
func (w *Forwarder) Report(ctx context.Context, c *inventory.Container, sink event.Sink, wait bool) {
	f := w.feed(c.ID)
	if f == nil || sink == nil {
		return
	}
	if wait {
		bound := time.NewTimer(startTime)
		defer bound.Stop()
		select {
		case <-f.first:
		case <-f.over: // there was nothing to send
		case <-ctx.Done():
		case <-bound.C:
			sink(f.trouble(fmt.Sprintf("no answer within %v", startTime)))
			return
		}
	}
	if problem, _ := f.state(); problem != "" {
		sink(f.trouble(problem))
	}
}

// Ended says that container id has ended, and everything that it wrote is in its log, if ended says so still: the news may come when the next run has begun already. ended is called with w's lock held.
func (w *Forwarder) Ended(id string, ended func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.feeds[id]; f != nil && ended() {
		f.end()
	}
}

// Finish sends the rest of the log of c, which does not run and is about to go, as far as its receiver takes it. What is left is told.
func (w *Forwarder) Finish(ctx context.Context, c *inventory.Container, sink event.Sink) {
	f := w.feed(c.ID)
	if f == nil {
		return
	}
	f.end()
	bound := time.NewTimer(removeTime)
	defer bound.Stop()
	for range 2 { // a connection that has just broken is one failure
		_, failure := f.state()
		f.retry()
		select {
		case <-f.over:
		case <-failure:
			continue
		case <-ctx.Done():
		case <-bound.C:
		}
		break
	}
	w.drop(f)
	if n := f.cursor.behind(c.Config.Log.Path); n > 0 {
		why, _ := f.state()
		if why == "" {
			why = fmt.Sprintf("it did not take all of it within %v", removeTime)
		}
		w.o.Hub.Say(sink, c.Event(event.Warning, NotSent, fmt.Sprintf("%s: the last %d bytes are lost to it, the container goes: %s", w.receiver(c), n, why)))
	}
}

// Drop ends the feed of container id, which is gone.
func (w *Forwarder) Drop(id string) {
	if f := w.feed(id); f != nil {
		w.drop(f)
	}
}

func (w *Forwarder) drop(f *feed) {
	f.cancel()
	<-f.over
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.feeds[f.c.ID] == f {
		delete(w.feeds, f.c.ID)
	}
}

// leave takes f out, whose run that ended says has ended; false: another has begun meanwhile.
func (w *Forwarder) leave(f *feed, ended <-chan struct{}) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.current() != ended {
		return false
	}
	delete(w.feeds, f.c.ID)
	return true
}

func (w *Forwarder) feed(id string) *feed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.feeds[id]
}

// Problem is why the log of container id is not sent at present; "" = nothing is wrong with it.
func (w *Forwarder) Problem(id string) string {
	f := w.feed(id)
	if f == nil {
		return ""
	}
	problem, _ := f.state()
	if problem == "" {
		return ""
	}
	return w.receiver(f.c) + ": " + problem
}

// Idle says that nothing is under way to a receiver that is there: what has ended has been sent, or waits for one that is away, which the next daemon looks for too.
func (w *Forwarder) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.feeds {
		if problem, _ := f.state(); f.hasEnded() && problem == "" {
			return false
		}
	}
	return true
}

// connect connects to the receiver of c.
func connect(ctx context.Context, c *inventory.Container) (Sender, error) {
	s := &logdriver.Source{ID: c.ID, Name: c.Name, ImageID: c.Image, ImageName: c.Spec.Image, Created: c.CreatedAt, Labels: c.Labels}
	if c.Alone != nil {
		s.Labels = c.Alone.Labels
	}
	if p := c.Config.Spec.Process; p != nil {
		s.Env, s.Command = p.Env, strings.Join(p.Args, " ")
	}
	return openers[c.Spec.Logging.Driver](ctx, c.Spec.Logging.Options, s)
}

// receiver is where the log of c goes, for messages.
func (w *Forwarder) receiver(c *inventory.Container) string {
	driver := c.Spec.Logging.Driver
	if a := c.Spec.Logging.Options[driver+"-address"]; a != "" {
		return driver + " at " + a
	}
	return driver
}
