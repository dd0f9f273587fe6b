package image

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/stackrun/stack/image/platform"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/roots"
)

func layerOf(t testing.TB, entries ...layertest.Entry) v1.Layer {
	t.Helper()
	return layerOfTar(t, layertest.Tar(t, entries...))
}

func layerOfTar(t testing.TB, raw []byte) v1.Layer {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imageOf makes an image for this host out of layers, lowest first.
func imageOf(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return forPlatform(t, img, platform.Host())
}

func forPlatform(t testing.TB, img v1.Image, p v1.Platform) v1.Image {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture, c.Variant = p.OS, p.Architecture, ""
	c.Config.Env = []string{"A=b"}
	c.Config.Cmd = []string{"/bin/true"}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
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
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
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
	dir := t.TempDir()
	return openStore(t, roots.Roots{State: dir + "/state", Run: dir + "/run"}, change...)
}

func openStore(t testing.TB, r roots.Roots, change ...func(*Options)) *Store {
	t.Helper()
	opt := Options{Roots: r}
	for _, c := range change {
		c(&opt)
	}
	s, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	// Credentials of whoever runs the tests are none of theirs, and nobody waits for a back-off.
	s.credentials.getenv = func(string) string { return "" }
	s.wait = func(ctx context.Context, d time.Duration) error { return ctx.Err() }
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
