package grpc

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Stream is a call that is answered: messages both ways. Recv is for one goroutine, Send for one too.
type Stream struct {
	r     io.Reader
	w     io.Writer
	flush func() error
	// Header is what came with the call: its metadata.
	Header http.Header
}

// Recv returns the caller's next message; io.EOF when it has said all.
func (s *Stream) Recv() ([]byte, error) { return readMessage(s.r) }

// Send sends one message at once.
func (s *Stream) Send(msg []byte) error {
	if _, err := s.w.Write(frame(msg)); err != nil {
		return err
	}
	return s.flush()
}

// Method answers a call. ctx ends when the caller has given up, or is gone. What it returns is what the caller is told.
type Method func(ctx context.Context, s *Stream) error

// Unary is a Method that takes a message and gives one.
func Unary(fn func(ctx context.Context, h http.Header, in []byte) ([]byte, error)) Method {
	return func(ctx context.Context, s *Stream) error {
		in, err := s.Recv()
		if err != nil {
			return err
		}
		out, err := fn(ctx, s.Header, in)
		if err != nil {
			return err
		}
		return s.Send(out)
	}
}

// Methods are those that there are, by path: /package.Service/Method.
type Methods map[string]Method

// ServeHTTP answers one call.
func (m Methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), contentType) {
		http.Error(w, "only gRPC is spoken here", http.StatusUnsupportedMediaType)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	c := http.NewResponseController(w)
	method, ok := m[r.URL.Path]
	if !ok {
		setStatus(h, Errorf(Unimplemented, "stack does not serve %s of BuildKit's protocol", strings.TrimPrefix(r.URL.Path, "/")))
		return
	}
	w.WriteHeader(http.StatusOK)
	err := c.Flush() // a caller of a stream waits for the header
	if err == nil {
		err = method(r.Context(), &Stream{r: r.Body, w: w, flush: c.Flush, Header: r.Header})
	}
	setStatus(h, err)
}

// Serve answers calls on conn until it ends, or ctx does; then all calls have ended, and conn is closed.
func Serve(ctx context.Context, conn net.Conn, m Methods) {
	l := &single{conn: conn, done: make(chan struct{})}
	var calls sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer calls.Wait()
	defer cancel()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			defer calls.Done()
			m.ServeHTTP(w, r)
		}),
		Protocols:   new(http.Protocols),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				l.Close()
			}
		},
	}
	srv.Protocols.SetUnencryptedHTTP2(true)
	defer context.AfterFunc(ctx, func() { srv.Close(); l.Close() })()
	srv.Serve(l) //nolint:errcheck // it ends with the connection
	conn.Close()
}

// single is a listener that has one connection, and is closed with it.
type single struct {
	conn net.Conn
	done chan struct{}
	mu   sync.Mutex
	over bool
}

func (l *single) Accept() (net.Conn, error) {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	<-l.done
	return nil, errOver
}

var errOver = errors.New("the connection has ended")

func (l *single) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		close(l.done)
	}
	return nil
}

func (l *single) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "h2c" }
func (address) String() string  { return "a connection that was taken over" }
