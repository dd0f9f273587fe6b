package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

// traffic is what was asked of a hub.
type traffic struct {
	mu    sync.Mutex
	lines []string
}

func (l *traffic) answer(w http.ResponseWriter, r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Method + " " + r.URL.Path
	if from := r.URL.Query().Get("from"); from != "" {
		line += " from " + from
	}
	l.lines = append(l.lines, line)
	return false
}

func (l *traffic) count(method, part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (h *hub) image(t *testing.T, repoTag string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(h.host + "/" + repoTag)
	check(t, err)
	img, err := remote.Image(ref)
	check(t, err)
	check(t, validate.Image(img))
	return img
}

func digest(t *testing.T, img v1.Image) v1.Hash {
	t.Helper()
	d, err := img.Digest()
	check(t, err)
	return d
}

func twoLayers(t *testing.T) v1.Image {
	return imageOf(t, layerOf(t, layertest.Dir("etc", 0o755), layertest.File("etc/one", strings.Repeat("one\n", 5000))), layerOf(t, layertest.File("two", "2")))
}

// pull pulls repoTag of h and gives it the name to.
func pullAndTag(t *testing.T, s *Store, h *hub, repoTag, to string) Info {
	t.Helper()
	info, err := s.Pull(t.Context(), h.host+"/"+repoTag, v1.Platform{}, nil)
	check(t, err)
	info, err = s.Tag(t.Context(), info.ID, to)
	check(t, err)
	return info
}

// TestPushOfPulled: what was pulled arrives by the same digest, in another registry, in another repository of its own, and again.
func TestPushOfPulled(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	want := twoLayers(t)
	from.push(t, "a/b:1", want)
	s := newStore(t)
	pullAndTag(t, s, from, "a/b:1", to.host+"/x:2")

	seen := new(traffic)
	to.misbehave(seen.answer)
	var phases []string
	pushed, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, func(p Progress) { phases = append(phases, string(p.Phase)) })
	check(t, err)
	if got := digest(t, to.image(t, "x:2")); got != digest(t, want) || pushed.Digest != got {
		t.Errorf("pushed as %s, told as %s, pulled as %s", got, pushed.Digest, digest(t, want))
	}
	if !slices.Contains(phases, string(progress.Sent)) || phases[len(phases)-1] != string(progress.Done) {
		t.Errorf("progress %q", phases)
	}
	if info, err := s.Resolve(t.Context(), to.host+"/x:2", v1.Platform{}); err != nil || !slices.Contains(info.Digests, to.host+"/x@"+pushed.Digest.String()) {
		t.Errorf("digests %q, %v", info.Digests, err)
	}

	// Again: nothing is sent but the tag.
	uploads := seen.count("POST", "/uploads/")
	_, err = s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil)
	check(t, err)
	if n := seen.count("POST", "/uploads/"); n != uploads {
		t.Errorf("%d uploads for what is there", n-uploads)
	}

	// To another repository of the first registry: its layers are taken from there, none is sent.
	_, err = s.Tag(t.Context(), pushedID(t, s, to.host+"/x:2"), from.host+"/c:3")
	check(t, err)
	there := new(traffic)
	// The registry of the tests has one set of blobs; others have one for each repository, until they are asked to mount.
	from.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		there.answer(w, r)
		switch {
		case r.Method == http.MethodHead && strings.HasPrefix(r.URL.Path, "/v2/c/blobs/"):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && r.URL.Query().Get("from") == "a/b":
			w.WriteHeader(http.StatusCreated)
		default:
			return false
		}
		return true
	})
	var mounted []string
	_, err = s.Push(t.Context(), from.host+"/c:3", PushOptions{}, func(p Progress) {
		if p.Phase == progress.Mounted {
			mounted = append(mounted, p.From)
		}
	})
	check(t, err)
	if sent := there.count("PATCH", ""); !slices.Equal(mounted, []string{"a/b", "a/b"}) || sent != 1 { // the configuration
		t.Errorf("taken from %q, %d sent: %q", mounted, there.count("PATCH", ""), there.lines)
	}
	if got := digest(t, from.image(t, "c:3")); got != digest(t, want) {
		t.Errorf("there it is %s", got)
	}
}

func pushedID(t *testing.T, s *Store, ref string) v1.Hash {
	t.Helper()
	info, err := s.Resolve(t.Context(), ref, v1.Platform{})
	check(t, err)
	return info.ID
}

// TestPushWithoutOrigin: where nobody has the layers any more they are compressed again, which is told; it is the same image, and the next time the same blob.
func TestPushWithoutOrigin(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	want := twoLayers(t)
	from.push(t, "a:1", want)
	s := newStore(t)
	info := pullAndTag(t, s, from, "a:1", to.host+"/x:2")
	from.Close()
	var notes string
	pushed, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, func(p Progress) { notes += p.Note + "\n" })
	check(t, err)
	if !strings.Contains(notes, "compressed anew") || !strings.Contains(notes, "is not to be had from "+from.host+"/a") {
		t.Errorf("told %q", notes)
	}
	got := to.image(t, "x:2")
	if id, err := got.ConfigName(); err != nil || id != info.ID || digest(t, got) != pushed.Digest {
		t.Errorf("it is image %s, %v; want %s", id, err, info.ID)
	}
	// In a second registry, from the same store: the same digest.
	other := newHub(t)
	_, err = s.Tag(t.Context(), info.ID, other.host+"/y:1")
	check(t, err)
	again, err := s.Push(t.Context(), other.host+"/y:1", PushOptions{}, nil)
	check(t, err)
	if again.Digest != pushed.Digest {
		t.Errorf("once %s, once %s", pushed.Digest, again.Digest)
	}
}

// TestPushOfMade: layers that were made here arrive, and run elsewhere: with whiteouts, opaque directories and what a root has.
func TestPushOfMade(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	s := newStore(t)
	first := step(t, s, "one", nil, time.Time{}, func(upper string) {
		check(t, os.Chmod(upper, 0o711))
		check(t, os.MkdirAll(filepath.Join(upper, "d/e"), 0o750))
		check(t, os.WriteFile(filepath.Join(upper, "d/e/f"), []byte("content"), 0o640))
		check(t, os.Link(filepath.Join(upper, "d/e/f"), filepath.Join(upper, "d/g")))
	})
	second := step(t, s, "two", []v1.Hash{first.DiffID}, time.Time{}, func(upper string) {
		check(t, os.MkdirAll(filepath.Join(upper, "d/e"), 0o700))
		check(t, unix.Setxattr(filepath.Join(upper, "d/e"), "trusted.overlay.opaque", []byte("y"), 0))
		check(t, unix.Mknod(filepath.Join(upper, "d/g"), unix.S_IFCHR, 0))
	})
	conf := &v1.ConfigFile{OS: "linux", Architecture: platform.Host().Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{first.DiffID, second.DiffID}}}
	info, err := s.Record(t.Context(), conf, h.host+"/made:1")
	check(t, err)
	pushed, err := s.Push(t.Context(), h.host+"/made:1", PushOptions{}, nil)
	check(t, err)
	if got := digest(t, h.image(t, "made:1")); got != pushed.Digest {
		t.Errorf("told %s, there is %s", pushed.Digest, got)
	}
	other := newStore(t)
	back, err := other.Pull(t.Context(), h.host+"/made:1", v1.Platform{}, nil)
	check(t, err)
	if back.ID != info.ID {
		t.Errorf("pushed as %s, pulled as %s", info.ID, back.ID)
	}
	for _, d := range []v1.Hash{first.DiffID, second.DiffID} {
		var ours, theirs bytes.Buffer
		check(t, s.layers.Write(t.Context(), d, &ours))
		check(t, other.layers.Write(t.Context(), d, &theirs))
		if !bytes.Equal(ours.Bytes(), theirs.Bytes()) {
			t.Errorf("layer %s is another stream elsewhere", d)
		}
	}
	// A store that has pushed knows what the layer became: nothing is compressed, or sent, for a second name.
	seen := new(traffic)
	h.misbehave(seen.answer)
	_, err = s.Tag(t.Context(), info.ID, h.host+"/made:2")
	check(t, err)
	_, err = s.Push(t.Context(), h.host+"/made:2", PushOptions{}, nil)
	check(t, err)
	if n := seen.count("PATCH", ""); n != 0 {
		t.Errorf("%d blobs sent again", n)
	}
}

// TestPushRepeats: a registry that fails for a while is asked again, one that refuses is not; what is told names it, and says what to do.
func TestPushRepeats(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	from.push(t, "a:1", twoLayers(t))
	s := newStore(t)
	pullAndTag(t, s, from, "a:1", to.host+"/x:2")
	var mu sync.Mutex
	broken := 0
	to.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPatch && broken < 3 {
			broken++
			if broken == 2 {
				w.WriteHeader(http.StatusBadGateway)
				return true
			}
			io.CopyN(io.Discard, r.Body, 10) //nolint:errcheck // it breaks off
			panic(http.ErrAbortHandler)
		}
		return false
	})
	if _, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil); err != nil || broken != 3 {
		t.Errorf("after %d failures: %v", broken, err)
	}

	for what, c := range map[string]struct {
		code int
		Kind error
		says string
	}{
		"denied":  {http.StatusForbidden, registry.ErrDenied, "docker login " + to.host},
		"missing": {http.StatusNotFound, errdefs.ErrNotFound, "made first"},
		"down":    {http.StatusInternalServerError, errdefs.ErrUnavailable, "answers 500"},
	} {
		to.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(c.code)
				return true
			}
			return false
		})
		_, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil)
		if !errors.Is(err, c.Kind) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "cannot push "+to.host+"/x:2") {
			t.Errorf("%s: %v", what, err)
		}
	}
	to.behave()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	to.misbehave(func(http.ResponseWriter, *http.Request) bool { cancel(stop); return false })
	if _, err := s.Push(ctx, to.host+"/x:2", PushOptions{}, nil); !errors.Is(err, stop) {
		t.Errorf("a push that was ended: %v", err)
	}
	for _, ref := range []string{to.host + "/x@sha256:" + strings.Repeat("0", 64), "nowhere:1", "BAD"} {
		if _, err := s.Push(t.Context(), ref, PushOptions{}, nil); err == nil {
			t.Errorf("%s was pushed", ref)
		}
	}
}

// TestPushRefusedUnderWay: what a registry says before it has read a blob to its end is what is told, and when it only breaks off the blob is sent again.
func TestPushRefusedUnderWay(t *testing.T) {
	sandbox.Require(t)
	from := newHub(t)
	noise := make([]byte, 16<<20) // more than what the network and the pipes between hold
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	from.push(t, "a:1", imageOf(t, layerOf(t, layertest.File("noise", string(noise)))))
	s := newStore(t)
	info, err := s.Pull(t.Context(), from.host+"/a:1", v1.Platform{}, nil)
	check(t, err)
	for _, origin := range []bool{true, false} {
		if !origin {
			from.Close() // then it is compressed here
		}
		to := newHub(t)
		_, err = s.Tag(t.Context(), info.ID, to.host+"/x:2")
		check(t, err)
		var mu sync.Mutex
		code, seen, left := 0, 0, 0
		to.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if r.Method != http.MethodPatch || left == 0 {
				return false
			}
			left--
			seen++
			if code == 0 {
				io.CopyN(io.Discard, r.Body, 100000) //nolint:errcheck // it breaks off
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			io.WriteString(w, `{"errors":[{"code":"DENIED","message":"the quota is used up"}]}`) //nolint:errcheck // the test sees it
			return true
		})
		code, left, seen = http.StatusRequestEntityTooLarge, 1000, 0
		_, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil)
		if err == nil || !strings.Contains(err.Error(), "answers 413") || !strings.Contains(err.Error(), "quota") {
			t.Errorf("origin %v: refused %d times: %v", origin, seen, err)
		}
		code, left, seen = 0, 3, 0
		if _, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil); err != nil || seen != 3 {
			t.Errorf("origin %v: after %d failures: %v", origin, seen, err)
		}
	}
}

// TestForeignForm: what somebody's manifest calls a layer that is here already is not what others push it as.
func TestForeignForm(t *testing.T) {
	sandbox.Require(t)
	h, to := newHub(t), newHub(t)
	base := layerOf(t, layertest.File("base", "of everybody"))
	h.push(t, "good:1", imageOf(t, base))
	s := newStore(t)
	_, err := s.Pull(t.Context(), h.host+"/good:1", v1.Platform{}, nil)
	check(t, err)

	// An image with the same layer by its configuration, and another blob by its manifest.
	evil := imageOf(t, base, layerOf(t, layertest.File("more", "1")))
	m, err := evil.Manifest()
	check(t, err)
	other := layerOf(t, layertest.File("base", "of somebody"))
	blob := must(other.Digest())
	m.Layers[0].Digest, m.Layers[0].Size = blob, must(other.Size())
	h.push(t, "evil/layer:1", imageOf(t, other))
	h.push(t, "evil/whole:1", evil)
	to.push(t, "evil/layer:1", imageOf(t, other))
	raw, err := json.Marshal(m)
	check(t, err)
	req, err := http.NewRequest(http.MethodPut, h.URL+"/v2/evil/whole/manifests/1", bytes.NewReader(raw))
	check(t, err)
	req.Header.Set("Content-Type", string(m.MediaType))
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	_, err = s.Pull(t.Context(), h.host+"/evil/whole:1", v1.Platform{}, nil)
	check(t, err)

	// What is made on the good one goes to a registry that has that blob.
	diff := must(base.DiffID())
	conf := &v1.ConfigFile{OS: "linux", Architecture: platform.Host().Architecture, Author: "me", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}}}
	_, err = s.Record(t.Context(), conf, to.host+"/mine:1")
	check(t, err)
	_, err = s.Push(t.Context(), to.host+"/mine:1", PushOptions{}, nil)
	check(t, err)
	pushed, err := to.image(t, "mine:1").Manifest() // which sees that the layers are those of the configuration
	check(t, err)
	if pushed.Layers[0].Digest == blob {
		t.Error("it was pushed with somebody's blob")
	}
}

// TestPushAuth: a push shows what its caller gave, and asks for the right to write.
func TestPushAuth(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	from.push(t, "a:1", twoLayers(t))
	s := newStore(t)
	pullAndTag(t, s, from, "a:1", to.host+"/x:2")
	to.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if user, pass, ok := r.BasicAuth(); ok && user == "u" && pass == "p" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	if _, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil); !errors.Is(err, registry.ErrDenied) {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{Auth: &credentials.Auth{Username: "u", Password: "p"}}, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.PullAs(t.Context(), to.host+"/x:2", v1.Platform{}, &credentials.Auth{Username: "u", Password: "p"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.PullAs(t.Context(), to.host+"/x:2", v1.Platform{}, &credentials.Auth{Username: "u", Password: "wrong"}, nil); !errors.Is(err, registry.ErrDenied) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with the wrong password: %v", err)
	}
}

// TestLayerThatIsTwice: a stream that names a file twice unpacks, and is told when it is to be given on.
func TestLayerThatIsTwice(t *testing.T) {
	sandbox.Require(t)
	from, to := newHub(t), newHub(t)
	from.push(t, "a:1", imageOf(t, layerOf(t, layertest.File("f", "first"), layertest.File("f", "later"))))
	s := newStore(t)
	pullAndTag(t, s, from, "a:1", to.host+"/x:2")
	from.Close()
	_, err := s.Push(t.Context(), to.host+"/x:2", PushOptions{}, nil)
	if !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), "names a file twice") {
		t.Errorf("%v", err)
	}
	if _, err := remote.Image(must(name.ParseReference(to.host + "/x:2"))); err == nil {
		t.Error("something was pushed")
	}
}
