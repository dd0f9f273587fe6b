package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/api/docker/buildkit/session"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
)

func (c *caller) health(context.Context, http.Header, []byte) ([]byte, error) {
	return message.Serving, nil
}

func (c *caller) info(context.Context, http.Header, []byte) ([]byte, error) {
	return message.Info(c.version), nil
}

// workers has one: this host. That it has no label org.mobyproject.buildkit.worker.snapshotter tells buildx what images are kept as, and so what it may not ask for: other platforms, attestations,
// images as files, caches elsewhere. It says so by itself.
func (c *caller) workers(context.Context, http.Header, []byte) ([]byte, error) {
	p := platform.Host()
	return message.Workers("stack", c.version, nil, message.Platform{Architecture: p.Architecture, OS: p.OS, Variant: p.Variant}), nil
}

// solve is one build, from its announcement to its end.
type solve struct {
	request  *message.Solve
	owner    string
	progress *progress

	results  *results
	returned chan message.Return // of one; what the client has made of it
}

// solve builds.
func (c *caller) solve(ctx context.Context, _ http.Header, in []byte) ([]byte, error) {
	req, err := message.ReadSolve(in)
	if err != nil {
		return nil, grpc.Errorf(grpc.InvalidArgument, "cannot read what is to be built: %w", err)
	}
	b := &solve{request: req, owner: c.owner, progress: newProgress(req.Ref), results: newResults(), returned: make(chan message.Return, 1)}
	if err := c.announce(b); err != nil {
		return nil, err
	}
	defer c.forget(b)
	exported, err := c.carryOut(ctx, b)
	b.progress.finish()
	if err != nil {
		return nil, plain(err)
	}
	return message.SolveResponse(exported), nil
}

// plain is err without a code, which clients put before its text.
func plain(err error) error {
	var told *grpc.Error
	if err == nil || errors.As(err, &told) || errors.Is(err, context.Canceled) {
		return err
	}
	return &grpc.Error{Code: grpc.Unknown, Message: err.Error(), Err: err}
}

// maxBuilds bounds what clients can have announced at a time; the engine builds fewer at once.
const maxBuilds = 1000

// announce makes b known by its ref.
func (s *server) announce(b *solve) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.request.Ref == "" || len(b.request.Ref) > 128:
		return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot build: it has no name to ask for its progress by, or a long one"))
	case s.builds[b.request.Ref] != nil:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot build: there is a build %s", b.request.Ref))
	case len(s.builds) >= maxBuilds:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot build: there are %d builds", maxBuilds))
	}
	s.builds[b.request.Ref] = b
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// keepFor is how long the end of a build can be asked for: its client asks for the build and for what is told of it at the same time.
const keepFor = 10 * time.Second

func (s *server) forget(b *solve) {
	time.AfterFunc(keepFor, func() { s.remove(b) })
}

func (s *server) remove(b *solve) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.builds[b.request.Ref] == b {
		delete(s.builds, b.request.Ref)
	}
}

// patience is how long a build that is asked about may take to be announced.
const patience = 10 * time.Second

// find waits for the build ref of the caller's.
func (c *caller) find(ctx context.Context, ref string) (*solve, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		c.mu.Lock()
		b, changed := c.builds[ref], c.changed
		c.mu.Unlock()
		if b != nil && b.owner == c.owner {
			return b, nil
		}
		if b != nil {
			changed = nil // another user's: it is as if there was none
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no build %q", ref))
		}
	}
}

// carryOut waits for what the client, as the frontend, has made, or makes it, and exports that.
func (c *caller) carryOut(ctx context.Context, b *solve) (map[string]string, error) {
	target, err := exportOf(b.request)
	if err != nil {
		return nil, err
	}
	s, err := c.sessionOf(ctx, b)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.Done():
			cancel(errdefs.With(errdefs.ErrUnavailable, errors.New("the client has gone")))
		case <-ctx.Done():
		}
	}()
	var d *dockerfile
	if b.request.Frontend != "" || b.request.Definition.Any {
		if d, err = readDockerfile(b.request); err != nil {
			return nil, err
		}
	} else {
		select {
		case r := <-b.returned:
			if d, err = b.results.of(r); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if d == nil { // the client wants nothing
		return nil, nil
	}
	return c.build(ctx, b, d, target)
}

// sessionOf is that which the build takes its sources from.
func (c *caller) sessionOf(ctx context.Context, b *solve) (*session.Session, error) {
	return c.sessions.Get(ctx, b.request.Session, c.owner)
}

// status tells what happens in a build, to its end.
func (c *caller) status(ctx context.Context, s *grpc.Stream) error {
	in, err := s.Recv()
	if err != nil {
		return err
	}
	ref, err := message.ReadRef(in)
	if err != nil {
		return err
	}
	b, err := c.find(ctx, ref)
	if err != nil {
		return err
	}
	for {
		status, more, err := b.progress.take(ctx)
		if err != nil {
			return err
		}
		if !more {
			c.remove(b)
			return nil
		}
		if err := s.Send(status.Encode()); err != nil {
			return err
		}
	}
}

// prune empties the cache, as POST /build/prune does.
func (c *caller) prune(ctx context.Context, s *grpc.Stream) error {
	in, err := s.Recv()
	if err != nil {
		return err
	}
	p, err := message.ReadPrune(in)
	if err != nil {
		return err
	}
	if len(p.Filters) > 0 || p.Bounds {
		return errdefs.With(errdefs.ErrNotSupported, errors.New("cannot prune builds: filters and bounds are not supported: the cache is brought into its bounds after each build, and pruned as a whole"))
	}
	bytes, err := c.engine.PruneBuilds(ctx)
	if err != nil {
		return err
	}
	return s.Send(message.UsageRecord("builds", bytes))
}
