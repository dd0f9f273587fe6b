package event

import (
	"context"
	"sync"
)

// Hub hands events to whoever listens. The zero value is ready.
type Hub struct {
	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	closed bool
}

// subscriber has a queue of its own, so that a slow reader holds up nobody. It is bounded: what a reader that has
// stopped reading misses is dropped, oldest first.
type subscriber struct {
	project string
	queue   []Event
	wake    chan struct{} // of capacity 1
}

const queueLength = 4096

// Subscribe delivers events of project ("" = of all) until ctx or the hub ends; then the channel is closed.
func (h *Hub) Subscribe(ctx context.Context, project string) <-chan Event {
	out := make(chan Event)
	s := &subscriber{project: project, wake: make(chan struct{}, 1)}
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
	h.mu.Unlock()
	go func() {
		defer close(out)
		defer h.drop(s)
		for {
			h.mu.Lock()
			batch, closed := s.queue, h.closed
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
	for s := range h.subs {
		if s.project != "" && s.project != ev.Project {
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
