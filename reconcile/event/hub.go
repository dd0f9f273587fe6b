package event

import (
	"context"
	"sync"
	"time"
)

// Hub hands events to whoever listens. The zero value is ready.
type Hub struct {
	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	closed bool
	past   []Event // the last ones, oldest first, without the progress of pulls
}

// Window is a span of time. A zero Since means from now on, a zero Until without an end.
type Window struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// subscriber has a queue of its own, so that a slow reader holds up nobody. It is bounded: what a reader that has
// stopped reading misses is dropped, oldest first.
type subscriber struct {
	project string
	until   time.Time // zero = without end
	over    bool      // nothing more is queued
	queue   []Event
	wake    chan struct{} // of capacity 1
}

const (
	queueLength = 4096
	// pastLength is how many events are kept for those who ask for what was. docker keeps 256.
	pastLength = 1024
)

func (s *subscriber) wants(ev Event) bool {
	return !s.over && (s.project == "" || s.project == ev.Project) && (s.until.IsZero() || !ev.Time.After(s.until))
}

// Subscribe delivers events of project ("" = of all), first those that are remembered of the window's part before now, until the window,
// ctx or the hub ends; then the channel is closed.
func (h *Hub) Subscribe(ctx context.Context, project string, w Window) <-chan Event {
	out := make(chan Event)
	s := &subscriber{project: project, until: w.Until, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		close(out)
		return out
	}
	if h.subs == nil {
		h.subs = map[*subscriber]struct{}{}
	}
	h.subs[s] = struct{}{}
	if !w.Since.IsZero() {
		for _, ev := range h.past {
			if s.wants(ev) && !ev.Time.Before(w.Since) {
				s.queue = append(s.queue, ev)
			}
		}
	}
	h.mu.Unlock()
	if !w.Until.IsZero() {
		end := time.AfterFunc(time.Until(w.Until), func() {
			h.mu.Lock()
			s.over = true
			h.mu.Unlock()
			s.kick()
		})
		context.AfterFunc(ctx, func() { end.Stop() })
	}
	go func() {
		defer close(out)
		defer h.drop(s)
		for {
			h.mu.Lock()
			batch, closed := s.queue, h.closed || s.over
			s.queue = nil
			h.mu.Unlock()
			for _, ev := range batch {
				select {
				case out <- ev:
				case <-ctx.Done():
					return
				}
			}
			if closed {
				return
			}
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (h *Hub) drop(s *subscriber) {
	h.mu.Lock()
	delete(h.subs, s)
	h.mu.Unlock()
}

// Publish hands ev to the listeners and never waits for them.
func (h *Hub) Publish(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ev.Total == 0 && ev.Current == 0 {
		if len(h.past) == 2*pastLength { // in one go: not each event moves them all
			h.past = append(h.past[:0], h.past[pastLength:]...)
		}
		h.past = append(h.past, ev)
	}
	for s := range h.subs {
		if !s.wants(ev) {
			continue
		}
		if len(s.queue) == queueLength {
			s.queue = s.queue[1:]
		}
		s.queue = append(s.queue, ev)
		s.kick()
	}
}

// Close ends every subscription once its queue is read.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		s.kick()
	}
}

func (s *subscriber) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Say sends ev to s, unless that is nil, and to everybody who listens. An event without a time is one of now.
func (h *Hub) Say(s Sink, ev Event) {
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	if s != nil {
		s(ev)
	}
	h.Publish(ev)
}
