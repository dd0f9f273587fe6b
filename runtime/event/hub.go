package event

import (
	"context"
	"sync"
	"time"
)

// Hub hands events to every subscriber. A publisher never waits.
type Hub struct {
	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	closed bool
}

// subscriber queues for one receiver.
type subscriber struct {
	mu    sync.Mutex
	queue []Event
	wake  chan struct{} // holds one element when the queue has grown or the hub is closed
	done  bool
}

// queueLimit is from where on a slow receiver loses events: then only the latest of each container stays.
const queueLimit = 1024

// Subscribe delivers what is published until ctx ends, or the hub is closed and what was queued is delivered; then the channel is closed. A slow receiver loses
// events, never the latest of a container.
func (h *Hub) Subscribe(ctx context.Context) <-chan Event {
	ch := make(chan Event)
	s := &subscriber{wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(ch)
		return ch
	}
	if h.subs == nil {
		h.subs = map[*subscriber]struct{}{}
	}
	h.subs[s] = struct{}{}
	go func() {
		defer close(ch)
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.subs, s)
		}()
		s.deliver(ctx, ch)
	}()
	return ch
}

func (s *subscriber) deliver(ctx context.Context, ch chan<- Event) {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			if s.done {
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		e := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		select {
		case ch <- e:
		case <-ctx.Done():
			return
		}
	}
}

// Publish tells e to every subscriber and does not wait for any. An e without a time is of now.
func (h *Hub) Publish(e Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.push(e)
	}
}

func (s *subscriber) push(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, e)
	if len(s.queue) > queueLimit {
		s.queue = latest(s.queue)
	}
	s.notify()
}

func (s *subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// latest keeps the last event of each container, in order.
func latest(queue []Event) []Event {
	last := map[string]int{}
	for i, e := range queue {
		last[e.ID] = i
	}
	kept := make([]Event, 0, len(last))
	for i, e := range queue {
		if last[e.ID] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// Close ends every subscription after what is queued.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		s.mu.Lock()
		s.done = true
		s.notify()
		s.mu.Unlock()
	}
}
