package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
)

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	name, options, err := queried(r, ask.LogOptions{Tail: -1})
	if err != nil {
		s.fail(w, err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", api.FramesType)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	flush.Flush() //nolint:errcheck // seen at the first write
	frames := api.NewFrameWriter(w)
	out := newLogStream(cancel, func(kind api.FrameKind, payload []byte) error {
		if err := frames.Write(kind, payload); err != nil {
			return err
		}
		return flush.Flush()
	})
	_, err = s.guard(func() (api.Result, error) { return api.Result{}, s.engine.Logs(ctx, name, options, out.line) })
	out.finish(s.travelling(err))
}

// maxLines bounds what a slow reader may leave unread before those who read the log for it wait, bytes.
const maxLines = 256 << 10

// logStream gathers lines while earlier ones are being sent: one that follows a log has each at once, and one that is behind has
// them by the frame.
type logStream struct {
	cancel context.CancelFunc
	send   func(api.FrameKind, []byte) error
	done   chan struct{}

	mu      sync.Mutex
	more    sync.Cond // lines came, were taken, or it ended
	encoder api.LogEncoder
	lines   []byte
	spare   []byte // to be lines next
	ended   bool
	err     error // of send
}

func newLogStream(cancel context.CancelFunc, send func(api.FrameKind, []byte) error) *logStream {
	s := &logStream{cancel: cancel, send: send, done: make(chan struct{})}
	s.more.L = &s.mu
	go s.drain()
	return s
}

// line takes e, waiting while the reader is behind. It fails when the reader is gone.
func (s *logStream) line(e ask.LogEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.lines) >= maxLines && s.err == nil {
		s.more.Wait()
	}
	if s.err != nil {
		return s.err
	}
	was := len(s.lines)
	s.lines = s.encoder.Append(s.lines, e)
	if was == 0 {
		s.more.Broadcast()
	}
	return nil
}

func (s *logStream) drain() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.lines) == 0 && !s.ended {
			s.more.Wait()
		}
		lines := s.lines
		s.lines = s.spare[:0]
		s.more.Broadcast()
		s.mu.Unlock()
		if len(lines) == 0 {
			return
		}
		err := s.send(api.FrameLog, lines)
		s.mu.Lock()
		s.spare, s.err = lines, err
		s.more.Broadcast()
		s.mu.Unlock()
		if err != nil {
			s.cancel()
			return
		}
	}
}

// finish sends what is left, and how it ended.
func (s *logStream) finish(failed *api.Error) {
	s.mu.Lock()
	s.ended = true
	s.more.Broadcast()
	s.mu.Unlock()
	<-s.done
	last := api.Message{Done: &api.Result{}}
	if failed != nil {
		last = api.Message{Error: failed}
	}
	if text, err := json.Marshal(last); err == nil && s.err == nil {
		s.send(api.FrameMessage, text) //nolint:errcheck // nobody is left to tell
	}
}
