package buildkit

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile"
)

// engine is one that does what a test says.
type engine struct {
	build func(ctx context.Context, b reconcile.ImageBuild, say func(reconcile.BuildProgress)) (image.Info, error)
}

func (e *engine) BuildImage(ctx context.Context, b reconcile.ImageBuild, say func(reconcile.BuildProgress)) (image.Info, error) {
	return e.build(ctx, b, say)
}

func (e *engine) PruneBuilds(context.Context) (int64, error) { return 5, nil }

// daemon is one that listens, to users whom the header User names.
type daemon struct {
	t    *testing.T
	addr string
}

func serve(t *testing.T, e Engine) *daemon {
	t.Helper()
	return listen(t, Routes(e, Options{Version: "test"}))
}

func listen(t *testing.T, routes []wire.Route) *daemon {
	t.Helper()
	mux := &wire.Mux{Log: slog.New(slog.DiscardHandler)}
	mux.Add(routes...)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(api.WithPeer(r.Context(), r.Header.Get("User"))))
	}))
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
	ctx, stop := context.WithCancel(t.Context())
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Start()
	t.Cleanup(func() { stop(); srv.Close() })
	return &daemon{t, l.Addr().String()}
}

// dial asks for a connection to be taken over.
func (d *daemon) dial(path, user string, h http.Header) net.Conn {
	d.t.Helper()
	conn, status := d.try(path, user, h)
	if !strings.Contains(status, " 101 ") {
		d.t.Fatalf("POST %s: %s", path, status)
	}
	return conn
}

func (d *daemon) try(path, user string, h http.Header) (net.Conn, string) {
	d.t.Helper()
	conn, err := net.Dial("unix", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	head := "POST " + path + " HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nUser: " + user + "\r\n"
	for k, v := range h {
		head += k + ": " + v[0] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		d.t.Fatal(err)
	}
	var answer strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(answer.String(), "\r\n\r\n"); {
		if _, err := conn.Read(b); err != nil {
			d.t.Fatal(err)
		}
		answer.Write(b)
	}
	status, _, _ := strings.Cut(answer.String(), "\r\n")
	return conn, status
}

// calls is a connection to call on.
func (d *daemon) calls(user string) *grpc.Client {
	c, err := grpc.NewClient(d.t.Context(), d.dial("/grpc", user, nil))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

// lend opens a session, on which m answers.
func (d *daemon) lend(user, id string, m grpc.Methods) net.Conn {
	conn := d.dial("/session", user, http.Header{"X-Docker-Expose-Session-Uuid": {id}})
	ctx, stop := context.WithCancel(d.t.Context())
	var over sync.WaitGroup
	over.Go(func() { grpc.Serve(ctx, conn, m) })
	d.t.Cleanup(func() { stop(); over.Wait() })
	return conn
}
