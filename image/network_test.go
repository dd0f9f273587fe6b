package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func pull(s *Store, ref string) (Info, []string, error) {
	var notes []string
	info, err := s.Pull(context.Background(), ref, v1.Platform{}, func(p Progress) {
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
	})
	return info, notes, err
}

func withMirrors(host string, urls ...string) func(*Options) {
	return func(o *Options) { o.Mirrors = map[string][]string{host: urls} }
}

func TestMirrors(t *testing.T) {
	sandbox.Require(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	origin, mirror, dead := newHub(t), newHub(t), newHub(t)
	dead.Close()
	origin.push(t, "library/app:1", img)
	origin.push(t, "library/only:1", img)
	mirror.push(t, "proxy/library/app:1", img)
	s := newStore(t, withMirrors(origin.host, "http://"+dead.host, "http://"+mirror.host+"/proxy"))

	_, notes, err := pull(s, origin.host+"/library/app:1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mirror " + dead.host + " is not reachable: connection refused", "from mirror " + mirror.host} {
		if !slices.Contains(notes, want) {
			t.Errorf("notes are %q, expected %q among them", notes, want)
		}
	}
	// The mirror has not everything: the origin has.
	_, notes, err = pull(s, origin.host+"/library/only:1")
	if err != nil {
		t.Fatal(err)
	}
	if want := "mirror " + mirror.host + " does not have it (404"; !strings.Contains(strings.Join(notes, "\n"), want) {
		t.Errorf("notes are %q, expected %q in them", notes, want)
	}
}

// TestBlobFromOrigin: a mirror that has a manifest and not its layers is left for the origin in the middle.
func TestBlobFromOrigin(t *testing.T) {
	sandbox.Require(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	origin, mirror := newHub(t), newHub(t)
	origin.push(t, "app:1", img)
	mirror.push(t, "app:1", img)
	digest, err := must(img.Layers())[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	mirror.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.String()) {
			http.Error(w, "gone", http.StatusNotFound)
			return true
		}
		return false
	})
	s := newStore(t, withMirrors(origin.host, mirror.host))
	if _, _, err := pull(s, origin.host+"/app:1"); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestBadMirror(t *testing.T) {
	for _, value := range []string{"ftp://host", "http://", "http://ho st", "http://host/UP", ""} {
		if _, err := registry.New(registry.Options{Mirrors: map[string][]string{"docker.io": {value}}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("mirror %q: error is %v", value, err)
		}
	}
}

func TestErrors(t *testing.T) {
	h, dead := newHub(t), newHub(t)
	dead.Close()
	code := http.StatusUnauthorized
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/private/") {
			http.Error(w, "{}", code)
			return true
		}
		return false
	})
	s := newStore(t)
	for _, c := range []struct {
		ref  string
		code int
		Kind error
		text []string
	}{
		{h.host + "/nothing:1", 0, errdefs.ErrNotFound, []string{"cannot pull " + h.host + "/nothing:1", "does not have it (404", "check the name and the tag"}},
		{h.host + "/private/app", 401, registry.ErrDenied, []string{"refuses access (401", "docker login " + h.host}},
		{h.host + "/private/app", 403, registry.ErrDenied, []string{"refuses access (403"}},
		{h.host + "/private/app", 503, errdefs.ErrUnavailable, []string{"answers 503 Service Unavailable"}},
		{h.host + "/private/app", 429, errdefs.ErrUnavailable, []string{"limits the rate of requests", "log in to"}},
		{dead.host + "/app", 0, errdefs.ErrUnavailable, []string{"is not reachable: connection refused", "check the network"}},
	} {
		code = c.code
		_, _, err := pull(s, c.ref)
		if !errors.Is(err, c.Kind) {
			t.Errorf("%s, %d: error is %v, expected kind %v", c.ref, c.code, err, c.Kind)
			continue
		}
		for _, other := range []error{errdefs.ErrNotFound, registry.ErrDenied, errdefs.ErrUnavailable} {
			if other != c.Kind && errors.Is(err, other) {
				t.Errorf("%s, %d: error is also %v", c.ref, c.code, other)
			}
		}
		for _, text := range c.text {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s, %d: error is %q, expected %q in it", c.ref, c.code, err, text)
			}
		}
	}
}

func TestRetries(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	var mu sync.Mutex
	failed := make(map[string]bool)
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if failed[r.URL.Path] {
			return false
		}
		failed[r.URL.Path] = true
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	var waited []time.Duration
	s := openAsking(t, newRoots(t), registry.Options{Wait: func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		waited = append(waited, d)
		return nil
	}})
	if _, _, err := pull(s, h.host+"/app:1"); err != nil {
		t.Fatal(err)
	}
	if len(waited) < 4 || slices.ContainsFunc(waited, func(d time.Duration) bool { return d != 7*time.Second }) {
		t.Errorf("waited %v, expected what Retry-After says", waited)
	}
}

// TestTooLate: a registry that wants to be left alone for longer than anybody waits is not waited for, and how long that is is told with what can be done.
func TestTooLate(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	for _, c := range []struct {
		code  int
		after string
		path  string // of the first request that is refused
		text  []string
	}{
		{429, "21600", "/v2/", []string{"limits the rate of requests (429: you have pulled enough), and wants no request for 6 hours", "docker login " + h.host, "registries.mirrors"}},
		{429, "21600", "/v2/app/manifests/1", []string{"(429: you have pulled enough), and wants no request for 6 hours", "docker login " + h.host}},
		{503, time.Now().Add(90 * time.Minute).UTC().Format(http.TimeFormat), "/v2/", []string{"answers 503 Service Unavailable: you have pulled enough, and wants no request for 1 h", "ask " + h.host + " again then", "registries.mirrors"}},
	} {
		h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != c.path {
				return false
			}
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.code)
			w.Write([]byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"you have pulled enough"}]}`))
			return true
		})
		s := openAsking(t, newRoots(t), registry.Options{Wait: func(_ context.Context, d time.Duration) error {
			t.Errorf("%d, Retry-After %s: waited for %v", c.code, c.after, d)
			return nil
		}})
		_, _, err := pull(s, h.host+"/app:1")
		if !errors.Is(err, errdefs.ErrUnavailable) {
			t.Errorf("%d, Retry-After %s: error is %v, expected kind %v", c.code, c.after, err, errdefs.ErrUnavailable)
			continue
		}
		for _, text := range c.text {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%d, Retry-After %s: error is %q, expected %q in it", c.code, c.after, err, text)
			}
		}
	}
}

// TestOffline: a store that is offline asks neither registry nor mirror, for whatever it is asked.
func TestOffline(t *testing.T) {
	sandbox.Require(t)
	h, mirror := newHub(t), newHub(t)
	for _, to := range []*hub{h, mirror} {
		to.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	}
	r := newRoots(t)
	s := openAsking(t, r, registry.Options{})
	info := pullAndTag(t, s, h, "app:1", h.host+"/mine:1")
	check(t, s.Close(t.Context()))
	var asked atomic.Int32
	for _, to := range []*hub{h, mirror} {
		to.misbehave(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	}
	s = openAsking(t, r, registry.Options{Offline: true}, func(o *Options) { o.Mirrors = map[string][]string{h.host: {"http://" + mirror.host}} })
	if here, err := s.Resolve(t.Context(), h.host+"/app:1", v1.Platform{}); err != nil || here.ID != info.ID {
		t.Errorf("what is here: %v, %v", here.ID, err)
	}
	_, _, pulled := pull(s, h.host+"/app:1")
	_, pushed := s.Push(t.Context(), h.host+"/mine:1", PushOptions{}, nil)
	_, asks := s.Manifest(t.Context(), h.host+"/app:1", nil)
	for what, err := range map[string]error{"pull": pulled, "find": s.Find(t.Context(), h.host+"/app:1", v1.Platform{}), "push": pushed, "manifest": asks, "login": s.CheckAuth(t.Context(), h.host, Auth{Username: "a", Password: "b"})} {
		if err == nil || !errors.Is(err, errdefs.ErrUnavailable) || !strings.Contains(err.Error(), h.host+" is not asked: the configuration file says `offline: true`") {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("registries were asked %d times", n)
	}
}

// TestTooLateToPush: nor is it asked again and again by a push.
func TestTooLateToPush(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	from.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	s := openAsking(t, newRoots(t), registry.Options{Wait: func(_ context.Context, d time.Duration) error {
		t.Errorf("waited for %v", d)
		return nil
	}})
	pullAndTag(t, s, from, "app:1", to.host+"/app:1")
	var asked atomic.Int32
	to.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	_, err := s.Push(t.Context(), to.host+"/app:1", PushOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "and wants no request for one hour; log in to "+to.host) {
		t.Errorf("error is %v, expected for how long %s wants no request, and what to do", err, to.host)
	}
	// The layer and the configuration go side by side.
	if n := asked.Load(); n < 1 || n > 2 {
		t.Errorf("asked %d times, expected once for each blob at most", n)
	}
}

// TestResume: connections that break in the middle of a layer are taken up where they broke, with and without
// support for ranges.
func TestResume(t *testing.T) {
	sandbox.Require(t)
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges=%v", ranges), func(t *testing.T) {
			h := newHub(t)
			body := make([]byte, 3<<20)
			for i := range body {
				body[i] = byte(i * i >> 7)
			}
			img := imageOf(t, layerOf(t, layertest.File("a", string(body))))
			h.push(t, "app:1", img)
			layer := must(img.Layers())[0]
			digest := must(layer.Digest())
			raw := readAll(t, must(layer.Compressed()))
			var requests atomic.Int32
			h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, digest.String()) {
					return false
				}
				n := requests.Add(1)
				from := 0
				if ranges && r.Header.Get("Range") != "" {
					fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(raw)-1, len(raw)))
					w.WriteHeader(http.StatusPartialContent)
				}
				rest := raw[from:]
				if n < 4 {
					w.Write(rest[:min(len(rest), int(n)*len(raw)/5)])
					panic(http.ErrAbortHandler)
				}
				w.Write(rest)
				return true
			})
			s := newStore(t)
			info, _, err := pull(s, h.host+"/app:1")
			if err != nil {
				t.Fatal(err)
			}
			if requests.Load() != 4 {
				t.Errorf("%d requests, expected 4", requests.Load())
			}
			if info.Size != int64(len(body)) {
				t.Errorf("size is %d", info.Size)
			}
		})
	}
}

func TestWrongContent(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	h.push(t, "app:1", img)
	digest := must(must(img.Layers())[0].Digest())
	other := readAll(t, must(layerOf(t, layertest.File("a", "2")).Compressed()))
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.String()) {
			w.Write(other)
			return true
		}
		return false
	})
	s := newStore(t)
	_, _, err := pull(s, h.host+"/app:1")
	if err == nil {
		t.Fatal("a layer with another digest was taken")
	}
	t.Log(err)
	nothingLeft(t, s)
}

// nothingLeft checks that an attempt that failed left no trace.
func nothingLeft(t *testing.T, s *Store) {
	t.Helper()
	for _, pattern := range []string{"tmp/*", "layers/*/*", "patches/*"} {
		if left := must(filepath.Glob(s.dir.Path(pattern))); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	if list, err := s.List(context.Background()); err != nil || len(list) > 0 {
		t.Errorf("images: %v, %v", list, err)
	}
}

func TestPlatforms(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	ctx := context.Background()
	arm := v1.Platform{OS: "linux", Architecture: "arm64"}
	intel := v1.Platform{OS: "linux", Architecture: "amd64"}
	idx := v1.ImageIndex(empty.Index)
	for _, p := range []v1.Platform{arm, intel} {
		img := layertest.Image(t, p, layerOf(t, layertest.File("arch", p.Architecture)))
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	h.pushIndex(t, "app:1", idx)
	s := newStore(t)
	ref := h.host + "/app:1"
	for _, p := range []v1.Platform{arm, intel} {
		if _, err := s.Resolve(ctx, ref, p); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("before its pull, Resolve for %v gives %v", p, err)
		}
		info, err := s.Pull(ctx, ref, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if info.Platform.Architecture != p.Architecture {
			t.Errorf("pulled %v, expected %v", info.Platform, p)
		}
	}
	// Both are there under one name, and by the digest of the index.
	for _, name := range []string{ref, h.host + "/app@" + must(idx.Digest()).String()} {
		for _, p := range []v1.Platform{arm, intel} {
			info, err := s.Resolve(ctx, name, p)
			if err != nil || info.Platform.Architecture != p.Architecture {
				t.Errorf("Resolve(%s, %v) = %v, %v", name, p, info.Platform, err)
			}
		}
	}
	_, err := s.Pull(ctx, ref, v1.Platform{OS: "linux", Architecture: "s390x"}, nil)
	if !errors.Is(err, errdefs.ErrNotFound) || !strings.Contains(err.Error(), "linux/s390x") || !strings.Contains(err.Error(), "linux/arm64, linux/amd64") {
		t.Errorf("error is %v, expected the platforms that are there", err)
	}
}

func TestOneFlight(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	var manifests atomic.Int32
	gate := make(chan struct{})
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/manifests/1") {
			manifests.Add(1)
			<-gate
		}
		return false
	})
	s := newStore(t)
	ref := h.host + "/app:1"
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan struct{}, 10)
	results := make(chan error, 10)
	for i := range 10 {
		// The first caller's context ends: that takes nothing from the others.
		c := context.Background()
		if i == 0 {
			c = ctx
		}
		go func() {
			var once sync.Once
			_, err := s.Pull(c, ref, v1.Platform{}, func(Progress) { once.Do(func() { started <- struct{}{} }) })
			if i == 0 {
				if !errors.Is(err, context.Canceled) {
					err = fmt.Errorf("the cancelled caller got %v", err)
				} else {
					err = nil
				}
			}
			results <- err
		}()
	}
	for range 10 {
		<-started
	}
	cancel()
	if err := <-results; err != nil {
		t.Error(err)
	}
	close(gate)
	for range 9 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := manifests.Load(); n != 1 {
		t.Errorf("the manifest was fetched %d times, expected once", n)
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	img := imageOf(t, layerOf(t, layertest.File("a", strings.Repeat("x", 1<<20))))
	h.push(t, "app:1", img)
	digest := must(must(img.Layers())[0].Digest())
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	defer close(release)
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, digest.String()) {
			w.Write([]byte{0x1f, 0x8b})
			w.(http.Flusher).Flush()
			cancel()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return true
		}
		return false
	})
	s := newStore(t)
	if _, err := s.Pull(ctx, h.host+"/app:1", v1.Platform{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	nothingLeft(t, s)
	// The same store can pull it afterwards.
	h.behave()
	if _, _, err := pull(s, h.host+"/app:1"); err != nil {
		t.Error(err)
	}
}

// TestPruneDuringPull: layers that no record names yet are a pull's, and not garbage.
func TestPruneDuringPull(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")), layerOf(t, layertest.File("b", "2")))
	h.push(t, "app:1", img)
	slow := must(must(img.Layers())[1].Digest()).String()
	begun, release := make(chan struct{}), make(chan struct{})
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, slow) {
			close(begun)
			<-release
		}
		return false
	})
	s := newStore(t)
	done := make(chan error)
	go func() {
		_, _, err := pull(s, h.host+"/app:1")
		done <- err
	}()
	<-begun
	if _, err := s.Prune(context.Background()); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("Prune during a pull: %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if p, err := s.Prune(context.Background()); err != nil || p.Bytes != 0 || len(p.Images) != 0 {
		t.Errorf("Prune after the pull removed %+v, %v", p, err)
	}
	if _, err := s.Resolve(context.Background(), h.host+"/app:1", v1.Platform{}); err != nil {
		t.Error(err)
	}
}

func TestPullOfID(t *testing.T) {
	if _, _, err := pull(newStore(t), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("error is %v", err)
	}
}
