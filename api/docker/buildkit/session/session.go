// Package session asks a client for what only it has: the sources of a build, its secrets, its credentials. The client lends a connection for that, on which the daemon is
// the one who calls.
//
// What comes from there is a stranger's, and kept within bounds.
//
// Called by api/docker/buildkit. May touch: the connections, and the directories that it is given.
package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/internal/errdefs"
)

// Session is a client's connection.
type Session struct {
	id, owner string
	client    *grpc.Client
}

// Done is closed when the client is gone.
func (s *Session) Done() <-chan struct{} { return s.client.Done() }

// Sessions are those that there are. Its zero value has none. Safe for concurrent use.
type Sessions struct {
	mu      sync.Mutex
	byID    map[string]*Session
	changed chan struct{} // closed, and made anew, when there is one more
}

// maxID bounds a session's id, which clients make up: 25 letters.
const maxID = 128

// Serve has conn be the session id until it ends or ctx does; then conn is closed. owner is who has opened it, as the daemon knows them: nobody else may use it. upgrade is called, once, before
// anything is said on conn, and only when the session may be.
func (all *Sessions) Serve(ctx context.Context, id, owner string, upgrade func() (net.Conn, error)) error {
	if id == "" || len(id) > maxID {
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot open a session: it has no id, or a long one"))
	}
	s := &Session{id: id, owner: owner}
	if !all.reserve(s) {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot open session %s: there is one of that id", id))
	}
	defer all.remove(s)
	conn, err := upgrade()
	if err != nil {
		return err
	}
	client, err := grpc.NewClient(ctx, conn)
	if err != nil {
		return nil // it is over: the connection is all that can say so
	}
	defer client.Close()
	all.open(s, client)
	select {
	case <-ctx.Done():
	case <-client.Done():
	}
	return nil
}

func (all *Sessions) reserve(s *Session) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byID[s.id] != nil {
		return false
	}
	if all.byID == nil {
		all.byID = map[string]*Session{}
	}
	all.byID[s.id] = s
	return true
}

func (all *Sessions) open(s *Session, c *grpc.Client) {
	all.mu.Lock()
	defer all.mu.Unlock()
	s.client = c
	if all.changed != nil {
		close(all.changed)
		all.changed = nil
	}
}

func (all *Sessions) remove(s *Session) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.byID, s.id)
}

// patience is how long a session that was announced may take to be opened: clients open it and ask for the build at the same time.
const patience = 30 * time.Second

// Get waits for the session id of owner.
func (all *Sessions) Get(ctx context.Context, id, owner string) (*Session, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s, changed := all.lookup(id)
		switch {
		case s != nil && s.owner != owner:
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("session %s is another user's", id))
		case s != nil:
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("session %s, which the build takes its sources from, was not opened", id))
		}
	}
}

func (all *Sessions) lookup(id string) (*Session, <-chan struct{}) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if s := all.byID[id]; s != nil && s.client != nil {
		return s, nil
	}
	if all.changed == nil {
		all.changed = make(chan struct{})
	}
	return nil, all.changed
}
