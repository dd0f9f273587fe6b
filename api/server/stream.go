package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/event"
)

// stream answers with messages. do runs with a context that ends with the request or the server.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, do func(context.Context, *stream) (api.Result, error)) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", api.StreamType)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	flush.Flush() //nolint:errcheck // seen at the first write
	buf := bufio.NewWriterSize(w, 32<<10)
	enc := json.NewEncoder(buf)
	out := newStream(cancel, func(batch []api.Message) error {
		for _, m := range batch {
			if err := enc.Encode(m); err != nil {
				return err
			}
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		return flush.Flush()
	})
	result, err := s.guard(func() (api.Result, error) { return do(ctx, out) })
	out.finish(result, s.travelling(err))
}

// guard turns a panic of the engine into an error of this request: others' requests and every
// project's loop go on.
func (s *Server) guard(do func() (api.Result, error)) (result api.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(p)
		}
	}()
	result, err = do()
	return result, s.ending(err)
}

// panicked notes a panic and is the error that the user gets to see.
func (s *Server) panicked(p any) error {
	s.log.Error("panic in a request", "panic", p, "stack", string(debug.Stack()))
	return fmt.Errorf("the daemon failed in its own code: %v (its log has the details)", p)
}

// stream takes messages from any goroutine and writes them from one. Events never wait for the reader,
// so that a client in Ctrl-Z does not hold up the engine: those that only tell progress of one thing
// replace each other.
type stream struct {
	cancel context.CancelFunc
	send   func([]api.Message) error
	done   chan struct{}

	mu     sync.Mutex
	more   sync.Cond // something was queued, taken, or it ended
	queue  []api.Message
	output int  // bytes of output of builds in queue
	busy   bool // a batch is being sent
	ended  bool
	err    error // of send
}

func newStream(cancel context.CancelFunc, send func([]api.Message) error) *stream {
	s := &stream{cancel: cancel, send: send, done: make(chan struct{})}
	s.more.L = &s.mu
	go s.drain()
	return s
}

func (s *stream) drain() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.ended {
			s.more.Wait()
		}
		batch := s.queue
		s.queue, s.output = nil, 0
		s.busy = len(batch) > 0
		s.more.Broadcast()
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		err := s.send(batch)
		s.mu.Lock()
		s.busy = false
		if err != nil {
			s.err, s.queue = err, nil
		}
		s.more.Broadcast()
		s.mu.Unlock()
		if err != nil {
			s.cancel()
			return
		}
	}
}

// event queues e; never blocks.
func (s *stream) event(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.ended {
		return
	}
	if len(e.Output) > 0 {
		s.writes(e)
		return
	}
	if e.Phase == event.Working {
		for i := len(s.queue) - 1; i >= 0; i-- {
			if q := s.queue[i].Event; q != nil && q.Kind == e.Kind && q.Name == e.Name {
				if q.Phase == e.Phase && q.Text == e.Text && q.Detail == e.Detail && len(q.Output) == 0 {
					s.queue[i].Event = &e
					return
				}
				break
			}
		}
	}
	s.queue = append(s.queue, api.Message{Event: &e})
	s.more.Broadcast()
}

// maxOutput bounds the output of builds that waits for the reader, bytes.
const maxOutput = 1 << 20

// writes queues output of a build, behind what is there of the same step. More than the reader takes is left out, which it is told. Precondition: s.mu is held.
func (s *stream) writes(e event.Event) {
	if s.output += len(e.Output); s.output > maxOutput {
		if s.output-len(e.Output) > maxOutput {
			return
		}
		e.Output = []byte("\n[some of the output is left out: it came faster than it was read]\n")
	}
	if n := len(s.queue); n > 0 {
		if q := s.queue[n-1].Event; q != nil && len(q.Output) > 0 && q.Kind == e.Kind && q.Name == e.Name && q.Detail == e.Detail {
			joined := *q // the engine's own is nobody's to change
			joined.Output = append(slices.Clip(q.Output), e.Output...)
			s.queue[n-1].Event = &joined
			return
		}
	}
	s.queue = append(s.queue, api.Message{Event: &e})
	s.more.Broadcast()
}

// sent waits until what was queued before is written or the reader is gone.
func (s *stream) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for (len(s.queue) > 0 || s.busy) && s.err == nil {
		s.more.Wait()
	}
}

// finish queues the last message and waits until everything is written or the reader is gone.
func (s *stream) finish(r api.Result, failed *api.Error) {
	s.mu.Lock()
	if failed != nil {
		s.queue = append(s.queue, api.Message{Error: failed})
	} else {
		s.queue = append(s.queue, api.Message{Done: &r})
	}
	s.ended = true
	s.more.Broadcast()
	s.mu.Unlock()
	<-s.done
}
