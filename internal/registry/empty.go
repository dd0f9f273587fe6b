package registry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Writable is a registry that keeps what is pushed to it, in memory.
type Writable struct {
	Host string // 127.0.0.1:port

	mu       sync.Mutex
	requests []string
}

// Empty serves a registry without anything on a free port of loopback until t ends. With user it wants to be shown that user and password.
func Empty(t testing.TB, user, password string) *Writable {
	t.Helper()
	w := new(Writable)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		if u, p, _ := r.BasicAuth(); user != "" && (u != user || p != password) {
			rw.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			fail(rw, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	w.Host = strings.TrimPrefix(srv.URL, "http://")
	return w
}

// Count is how many requests of method so far had part in their path.
func (w *Writable) Count(method, part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.requests {
		if m, path, _ := strings.Cut(r, " "); m == method && strings.Contains(path, part) {
			n++
		}
	}
	return n
}
