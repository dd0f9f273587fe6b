// Package server answers the API of package api in front of an Engine. It knows HTTP, JSON and
// who may connect; what the verbs do is the engine's.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
)

// Options of a Server.
type Options struct {
	// Version is this daemon; a request with another VersionHeader's Version is refused.
	Version api.Version
	// Group whose members may connect besides root and the daemon's own user; -1 = none.
	Group int
	Log   *slog.Logger // nil = nowhere
	// Docker answers what is not below /v1/; nil = nobody does.
	Docker http.Handler
	// Rested is called when no connection has been open for RestAfter, nor Worked called, once for each such time; nil = never.
	Rested    func()
	RestAfter time.Duration
	// Connected is called when somebody has connected, before the request is read; nil = never. The next has to wait for it.
	Connected func()
	// Replaced is called, once, when a client of another version wants a daemon of its own and nobody else is connected: nobody is let in any
	// more, and the caller ends this one. nil = this daemon stays.
	Replaced func()
}

// Server answers requests on one listener.
type Server struct {
	engine Engine
	opt    Options
	log    *slog.Logger
	http   *http.Server
	// stop ends every request's context: Shutdown of net/http waits for them, it does not end them.
	stop context.CancelFunc
	base context.Context // of every request; over = Shutdown

	mu       sync.Mutex
	leaving  bool                  // nobody is let in any more
	conns    map[net.Conn]struct{} // open, upgraded ones included
	eager    int                   // of them wait in makeWay
	moved    sync.Cond             // of mu: conns, eager or leaving is another
	lastUsed time.Time
	rest     *time.Timer // calls Rested; nil without
}

// New makes a server that does not listen yet.
func New(e Engine, opt Options) *Server {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	base, stop := context.WithCancel(context.Background())
	s := &Server{engine: e, opt: opt, log: opt.Log, stop: stop, base: base, conns: map[net.Conn]struct{}{}, lastUsed: time.Now()}
	s.moved.L = &s.mu
	if opt.Rested != nil {
		s.rest = time.AfterFunc(opt.RestAfter, opt.Rested)
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return api.WithPeer(ctx, peerName(c)) },
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(opt.Log.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers on l until Shutdown; then it returns nil. Peers that may not connect are hung up on.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&guarded{Listener: l, server: s})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening, cancels every request and waits until they have ended or ctx does.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	defer s.stopResting()
	err := s.http.Shutdown(ctx)
	// Upgraded connections are no longer net/http's; their handlers have seen the cancel.
	for {
		s.mu.Lock()
		n := len(s.conns)
		var one net.Conn
		for c := range s.conns {
			one = c
		}
		s.mu.Unlock()
		if n == 0 || err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			one.Close()
		}
	}
	return err
}

// ending is err, or that of a daemon which ends: the caller has cancelled nothing.
func (s *Server) ending(err error) error {
	if s.base.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return errdefs.With(errdefs.ErrUnavailable, errors.New("the stack daemon ended before this was done\ncontainers run on; run the command again to go on from where it stopped"))
}

// opened and closed count the connections, and say when the last one is gone. opened is false when nobody is let in any more.
func (s *Server) opened(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.conns[c] = struct{}{}
	if s.rest != nil {
		s.rest.Stop()
	}
	if s.opt.Connected != nil {
		s.opt.Connected()
	}
	return true
}

func (s *Server) closed(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.moved.Broadcast()
	s.lastUsed = time.Now()
	if s.rest != nil && len(s.conns) == 0 {
		s.rest.Reset(s.opt.RestAfter)
	}
}

// Worked says that the engine has done something that no connection stands for: the rest begins again.
func (s *Server) Worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest != nil && len(s.conns) == 0 {
		s.rest.Reset(s.opt.RestAfter)
	}
}

func (s *Server) stopResting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest != nil {
		s.rest.Stop()
		s.rest = nil
	}
}

// Leave lets nobody in any more if nobody has been connected for idle, and says whether that is so. Who connects after that is hung up on without an
// answer, and asks the next daemon: nobody's request is cut short because it came at that moment.
func (s *Server) Leave(idle time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = s.leaving || len(s.conns) == 0 && time.Since(s.lastUsed) >= idle
	return s.leaving
}

// hangUpTime is how long makeWay waits for others to be gone: the end of a command before is noticed a moment after the command's end.
const hangUpTime = 300 * time.Millisecond

// makeWay is Leave for the client that has asked with r, if it wants this daemon to be replaced: no command of this version may be cut short for it. Others that
// want the same are not in its way.
func (s *Server) makeWay(r *http.Request) bool {
	if s.opt.Replaced == nil || r.Header.Get(api.ReplaceHeader) == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.eager++
	s.moved.Broadcast()
	defer func() { s.eager-- }()
	late := false
	timer := time.AfterFunc(hangUpTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.moved.Broadcast()
	})
	defer timer.Stop()
	for !s.leaving && len(s.conns) > s.eager {
		if late {
			return false
		}
		s.moved.Wait()
	}
	if !s.leaving {
		s.leaving = true
		s.moved.Broadcast()
		go s.opt.Replaced()
	}
	return true
}

// handler checks once, for every path, who is meant, so that a mismatch is said before anything is decoded.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.routes(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.base.Err() != nil { // it came too late; its sender will ask the next daemon
			panic(http.ErrAbortHandler)
		}
		if s.opt.Docker != nil && !strings.HasPrefix(r.URL.Path, "/v1/") {
			s.opt.Docker.ServeHTTP(w, r)
			return
		}
		w.Header().Set(api.VersionHeader, s.opt.Version.Version)
		if err := s.meant(r); err != nil {
			if errors.Is(err, api.ErrVersion) && s.makeWay(r) {
				panic(http.ErrAbortHandler) // as above
			}
			s.fail(w, err)
			return
		}
		defer s.survive(w)
		mux.ServeHTTP(w, r)
	})
}

// survive answers for a handler that panicked before it has answered: hung up on, its client would ask again.
func (s *Server) survive(w http.ResponseWriter) {
	if p := recover(); p != nil {
		s.fail(w, s.panicked(p))
	}
}

// meant says why r is not for this daemon.
func (s *Server) meant(r *http.Request) error {
	if theirs := r.Header.Get(api.VersionHeader); theirs != s.opt.Version.Version && r.URL.Path != "/v1/version" {
		return &api.Error{Kind: api.KindVersion, Message: api.VersionMessage(s.opt.Version, theirs)}
	}
	state, err := url.PathUnescape(r.Header.Get(api.StateRootHeader))
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the request: %s: %v", api.StateRootHeader, err))
	}
	if ours := s.opt.Version.StateRoot; state != "" && ours != "" && state != ours {
		return errdefs.With(errdefs.ErrConflict, errors.New(api.StateRootMessage(s.opt.Version, state)))
	}
	return nil
}

// travelling is err as it goes to a client.
func (s *Server) travelling(err error) *api.Error {
	return api.FromError(err, roots.Roots{State: s.opt.Version.StateRoot, Run: s.opt.Version.RunRoot})
}

// fail answers with an error. Only before a body has begun.
func (s *Server) fail(w http.ResponseWriter, err error) {
	e := s.travelling(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status())
	json.NewEncoder(w).Encode(e) //nolint:errcheck // the peer is gone
}

func (s *Server) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the peer is gone
}

// decode reads a JSON body of at most api.MaxBody bytes into v, strictly: unknown fields mean another build.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, api.MaxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		// Read to the end: net/http watches for the client's going only when the body is used up.
		_, err = d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more than one JSON value")
	}
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read the request: %v", err))
}

// maxSocketPath is what fits into sun_path, with the null byte at its end: unix(7).
const maxSocketPath = 107

// Listen makes the socket at path, mode 0660, owned by group when that is not negative. An old
// socket there is replaced: the caller holds the daemon's lock, so nobody listens on it.
func Listen(path string, group int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	// Bound under a name that nobody connects to, then renamed: never reachable with the wrong mode.
	tmp := path + ".new"
	if len(tmp) > maxSocketPath {
		return nil, fmt.Errorf("cannot listen on %s: the path of a socket is at most %d bytes long, and this one has %d; give a shorter --run-root", path, maxSocketPath-len(".new"), len(path))
	}
	os.Remove(tmp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(tmp, 0o660), os.Chown(tmp, -1, max(group, -1)), os.Rename(tmp, path)); err != nil {
		l.Close()
		os.Remove(tmp)
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return l, nil
}
