package image

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	inmemory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/roots"
)

func layerOf(t testing.TB, entries ...layertest.Entry) v1.Layer {
	t.Helper()
	return layertest.Layer(t, entries...)
}

// imageOf makes an image for this host out of layers, lowest first.
func imageOf(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	return layertest.Image(t, platform.Host(), layers...)
}

// hub is a registry on loopback that a test can make misbehave.
type hub struct {
	*httptest.Server
	host   string
	before atomic.Pointer[answer]
}

// answer answers a request itself when it returns true.
type answer func(w http.ResponseWriter, r *http.Request) bool

func (h *hub) misbehave(a answer) { h.before.Store(&a) }
func (h *hub) behave()            { h.before.Store(nil) }

func newHub(t testing.TB) *hub {
	t.Helper()
	h := new(hub)
	inner := inmemory.New(inmemory.Logger(log.New(io.Discard, "", 0)))
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := h.before.Load(); a != nil && (*a)(w, r) {
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.host = u.Host
	return h
}

func (h *hub) push(t testing.TB, repoTag string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(h.host + "/" + repoTag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
}

func (h *hub) pushIndex(t testing.TB, repoTag string, idx v1.ImageIndex) {
	t.Helper()
	ref, err := name.ParseReference(h.host + "/" + repoTag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, idx); err != nil {
		t.Fatal(err)
	}
}

func newStore(t testing.TB, change ...func(*Options)) *Store {
	t.Helper()
	return openStore(t, newRoots(t), change...)
}

func newRoots(t testing.TB) roots.Roots {
	dir := t.TempDir()
	return roots.Roots{State: dir + "/state", Run: dir + "/run"}
}

// rootsOf are the roots of s, for another store that uses them.
func rootsOf(s *Store) roots.Roots {
	state := filepath.Dir(s.dir.Path())
	return roots.Roots{State: state, Run: filepath.Join(filepath.Dir(state), "run")}
}

func openStore(t testing.TB, r roots.Roots, change ...func(*Options)) *Store {
	t.Helper()
	return openAsking(t, r, registry.Options{}, change...)
}

// openAsking opens a store that asks registries as ask says. Credentials of whoever runs the tests are none of theirs, and nobody waits for a back-off, unless that says so.
func openAsking(t testing.TB, r roots.Roots, ask registry.Options, change ...func(*Options)) *Store {
	t.Helper()
	opt := Options{Roots: r}
	for _, c := range change {
		c(&opt)
	}
	ask.Mirrors, ask.Insecure = opt.Mirrors, opt.Insecure
	if ask.Getenv == nil {
		ask.Getenv = func(string) string { return "" }
	}
	if ask.Wait == nil {
		ask.Wait = func(ctx context.Context, d time.Duration) error { return ctx.Err() }
	}
	reg, err := registry.New(ask)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(context.Background(), opt, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func readAll(t testing.TB, r io.ReadCloser) []byte {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
