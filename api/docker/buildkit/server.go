package buildkit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/session"
	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
)

// Engine is what is needed of the engine: reconcile.AllImages.
type Engine interface {
	BuildImage(ctx context.Context, b reconcile.ImageBuild, progress func(reconcile.BuildProgress)) (image.Info, error)
	PruneBuilds(ctx context.Context) (bytes int64, err error)
}

// Options of Routes.
type Options struct {
	Version string // of the daemon
}

// server has the sessions and the builds of all connections.
type server struct {
	engine   Engine
	version  string
	sessions session.Sessions

	mu      sync.Mutex
	builds  map[string]*solve // by ref
	changed chan struct{}     // closed, and made anew, when there is one more
}

// Routes are the operations of this package.
func Routes(e Engine, opt Options) []wire.Route {
	s := &server{engine: e, version: opt.Version, builds: map[string]*solve{}, changed: make(chan struct{})}
	return s.routes()
}

func (s *server) routes() []wire.Route {
	return []wire.Route{
		{Method: "POST", Path: "/grpc", Handle: s.calls},
		{Method: "POST", Path: "/session", Handle: s.lend},
	}
}

// calls answers those that a client makes on a connection.
func (s *server) calls(w http.ResponseWriter, r *http.Request) error {
	if err := upgradable(r); err != nil {
		return err
	}
	conn, err := wire.Upgrade(w, proto)
	if err != nil {
		return err
	}
	c := &caller{server: s, owner: owner(r)}
	grpc.Serve(r.Context(), conn, c.methods())
	return nil
}

// caller is who has opened a connection of calls.
type caller struct {
	*server
	owner string
}

// methods are those of BuildKit's services that are served.
func (c *caller) methods() grpc.Methods {
	const (
		control = "/moby.buildkit.v1.Control/"
		bridge  = "/moby.buildkit.v1.frontend.LLBBridge/"
	)
	return grpc.Methods{
		control + "Info":               grpc.Unary(c.info),
		control + "ListWorkers":        grpc.Unary(c.workers),
		control + "Session":            c.tunnelled,
		control + "Solve":              grpc.Unary(c.solve),
		control + "Status":             c.status,
		control + "Prune":              c.prune,
		bridge + "Ping":                grpc.Unary(c.ping),
		bridge + "Solve":               grpc.Unary(c.ask),
		bridge + "Evaluate":            grpc.Unary(c.evaluate),
		bridge + "Return":              grpc.Unary(c.giveBack),
		bridge + "Inputs":              grpc.Unary(c.inputs),
		bridge + "Warn":                grpc.Unary(c.warn),
		bridge + "ReadDir":             grpc.Unary(c.noFiles),
		bridge + "ReadFile":            grpc.Unary(c.noFiles),
		bridge + "StatFile":            grpc.Unary(c.noFiles),
		"/grpc.health.v1.Health/Check": grpc.Unary(c.health),
	}
}

// lend takes a connection on which the client is called.
func (s *server) lend(w http.ResponseWriter, r *http.Request) error {
	if err := upgradable(r); err != nil {
		return err
	}
	return s.sessions.Serve(r.Context(), r.Header.Get(headSession), owner(r), func() (net.Conn, error) { return wire.Upgrade(w, proto) })
}

// proto is what is spoken on a connection that was taken over: HTTP/2.
const proto = "h2c"

// upgradable says why a connection will not be taken over.
func upgradable(r *http.Request) error {
	if asked := r.Header.Get("Upgrade"); asked != proto {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot speak BuildKit's protocol over %q: expected Upgrade: %s", asked, proto))
	}
	return nil
}

// owner is who has sent r: one who has shown a certificate, or a user of the socket.
func owner(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
		return "certificate " + hex.EncodeToString(sum[:])
	}
	return api.Peer(r.Context())
}
