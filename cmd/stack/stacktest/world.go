package stacktest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// World is an engine's containers that a test moves by hand.
type World struct {
	apitest.Engine
	t *testing.T

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at each change
	containers []ask.Container
	lines      []ask.LogEntry
	events     []event.Event
	verbs      []string // as they were called, with their services
}

// NewWorld has an up that starts a container of each service, tells the sink, and ends when ready is closed.
func NewWorld(t *testing.T, ready <-chan struct{}) *World {
	w := &World{t: t, changed: make(chan struct{})}
	w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
		for _, s := range slices.Sorted(maps.Keys(p.Services)) {
			sink(event.Event{Kind: "container", Name: "shop-" + s + "-1", Service: s, Phase: event.Working, Text: "Starting"})
			w.Starts(s)
			w.Say(s, s+" is up")
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, s := range slices.Sorted(maps.Keys(p.Services)) {
			sink(event.Event{Kind: "container", Name: "shop-" + s + "-1", Service: s, Phase: event.Done, Text: "Started"})
		}
		return nil
	}
	w.OnContainers = func(context.Context, string) ([]ask.Container, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Clone(w.containers), nil
	}
	w.OnLogs, w.OnEvents = w.follow, w.subscribe
	w.OnVerb = func(_ context.Context, verb, _ string, o ask.ServiceOptions, _ event.Sink) error {
		w.Called(verb, o)
		for _, s := range o.Services {
			w.End(s, 143)
		}
		return nil
	}
	return w
}

// change does f under the lock and wakes whoever follows.
func (w *World) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// Called notes that a verb was asked for.
func (w *World) Called(verb string, o ask.ServiceOptions) {
	w.change(func() { w.verbs = append(w.verbs, strings.TrimSpace(verb+" "+strings.Join(o.Services, " "))) })
}

// Calls are the verbs that were asked for, with their services.
func (w *World) Calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.verbs)
}

// Starts makes the container of service run, anew if it was there.
func (w *World) Starts(service string) {
	w.change(func() {
		w.containers = slices.DeleteFunc(w.containers, func(c ask.Container) bool { return c.Service == service })
		w.containers = append(w.containers, ask.Container{
			ID: service, Name: "shop-" + service + "-1", Project: "shop", Service: service, Replica: 1, State: "running", StartedAt: time.Now(),
		})
	})
}

// End ends the container of service, once.
func (w *World) End(service string, code int) { w.Ends(service, code, "exited") }

// OutOfMemory ends the container of service as one that is killed for its memory. Not told: no event is of it.
func (w *World) OutOfMemory(service string, told bool) {
	w.End(service, 137)
	w.change(func() {
		for i := range w.containers {
			if c := &w.containers[i]; c.Service == service && c.Exit != nil {
				c.Exit.OOM = true
			}
		}
		last := len(w.events) - 1
		if w.events[last].Detail = "exited with code 137 (killed because it was out of memory)"; !told {
			w.events = w.events[:last]
		}
	})
}

// Ends is end with the state that the container is in afterwards.
func (w *World) Ends(service string, code int, state string) {
	w.change(func() {
		for i := range w.containers {
			if c := &w.containers[i]; c.Service == service && c.State == "running" {
				c.State, c.Exit = state, &process.Exit{Code: code, FinishedAt: time.Now()}
				w.events = append(w.events, event.Event{
					Time: time.Now(), Project: "shop", Kind: "container", Name: c.Name, Service: service, Phase: event.Done, Text: "Exited", Exit: &code,
				})
			}
		}
	})
}

// Say writes a line of service to its log.
func (w *World) Say(service, line string) {
	w.change(func() {
		w.lines = append(w.lines, ask.LogEntry{
			Container: "shop-" + service + "-1", Service: service, Replica: 1, Time: time.Now(), Stream: "stdout", Line: []byte(line),
		})
	})
}

func (w *World) follow(ctx context.Context, _ string, o ask.LogOptions, each func(ask.LogEntry) error) error {
	for at := 0; ; {
		w.mu.Lock()
		fresh, changed := slices.Clone(w.lines[at:]), w.changed
		w.mu.Unlock()
		for _, l := range fresh {
			if len(o.Services) == 0 || slices.Contains(o.Services, l.Service) {
				if err := each(l); err != nil {
					return err
				}
			}
		}
		at += len(fresh)
		if !o.Follow {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *World) subscribe(ctx context.Context, _ string, o event.Window) <-chan event.Event {
	out := make(chan event.Event)
	w.mu.Lock()
	at := len(w.events)
	for ; !o.Since.IsZero() && at > 0 && !w.events[at-1].Time.Before(o.Since); at-- {
	}
	w.mu.Unlock()
	go func() {
		defer close(out)
		for {
			w.mu.Lock()
			fresh, changed := slices.Clone(w.events[at:]), w.changed
			w.mu.Unlock()
			for _, e := range fresh {
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			}
			at += len(fresh)
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
