package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

// The test binary, started again with this variable, pulls what it says and ends.
const childEnv = "STACK_IMAGE_TEST_CHILD"

type childJob struct {
	Roots roots.Roots
	Ref   string
}

func pullChild(job string) int {
	var j childJob
	err := json.Unmarshal([]byte(job), &j)
	if err == nil {
		var s *Store
		if s, err = Open(context.Background(), Options{Roots: j.Roots}); err == nil {
			_, err = s.Pull(context.Background(), j.Ref, v1.Platform{}, nil)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKilledPull kills a pulling process with one layer whole and the other half unpacked.
func TestKilledPull(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(i * i >> 9)
	}
	img := imageOf(t, layerOf(t, layertest.File("small", "1")), layerOf(t, layertest.File("before", "1"), layertest.File("big", string(big))))
	h.push(t, "app:1", img)
	layers := must(img.Layers())
	bigDigest := must(layers[1].Digest()).String()
	raw := readAll(t, must(layers[1].Compressed()))
	dir := t.TempDir()
	r := roots.Roots{State: dir + "/state", Run: dir + "/run"}

	half := make(chan struct{})
	var once sync.Once
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, bigDigest) {
			return false
		}
		w.Write(raw[:len(raw)/2])
		w.(http.Flusher).Flush()
		once.Do(func() { close(half) })
		<-r.Context().Done()
		return true
	})
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), childEnv+"="+string(must(json.Marshal(childJob{r, h.host + "/app:1"}))))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	small := filepath.Join(r.State, "images/layers/sha256", must(layers[0].DiffID()).Hex)
	sandbox.Eventually(t, "the small layer is whole and the big one is begun", func() bool {
		begun, _ := filepath.Glob(filepath.Join(r.State, "images/tmp/*/fs/before"))
		_, err := os.Lstat(small)
		return err == nil && len(begun) > 0
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait() //nolint:errcheck // it was killed

	h.behave()
	s := openStore(t, r)
	if left := must(filepath.Glob(s.dir.Path("tmp/*"))); len(left) > 0 {
		t.Errorf("left by the crash: %v", left)
	}
	if list, err := s.List(context.Background()); err != nil || len(list) > 0 {
		t.Errorf("images after the crash: %v, %v", list, err)
	}
	info, _, err := pull(s, h.host+"/app:1")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := s.Prepare(context.Background(), "c", info.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(mounts[0].Lower[0], "big"))
	if err != nil || string(b) != string(big) {
		t.Errorf("big has %d bytes, %v", len(b), err)
	}
}

// TestPowerCut: layers that an earlier boot did not sync are not trusted.
func TestPowerCut(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	h.push(t, "app:1", img)
	s := newStore(t)
	info, _, err := pull(s, h.host+"/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if notes := must(filepath.Glob(s.dir.Path("unsynced/*"))); len(notes) > 0 {
		t.Errorf("after Close the notes %v are left", notes)
	}
	ctx := context.Background()
	if _, err := openStore(t, rootsOf(s)).Resolve(ctx, h.host+"/app:1", v1.Platform{}); err != nil {
		t.Errorf("after an orderly end: %v", err)
	}
	note := must(json.Marshal(map[string]any{"boot": "another", "layers": []v1.Hash{must(must(img.Layers())[0].DiffID())}}))
	if err := os.WriteFile(s.dir.Path("unsynced/1.json"), note, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.dir.Path("unsynced/2.json"), note[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, rootsOf(s))
	if _, err := again.Resolve(ctx, h.host+"/app:1", v1.Platform{}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("after a power cut: %v", err)
	}
	if _, err := again.Prepare(ctx, "c", info.ID); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("Prepare after a power cut: %v", err)
	}
	if _, _, err := pull(again, h.host+"/app:1"); err != nil {
		t.Error(err)
	}
}

func TestDiskFull(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	noise := make([]byte, 6<<20)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	h.push(t, "big:1", imageOf(t, layerOf(t, layertest.File("a", string(noise)))))
	// Compressed it fits, unpacked it does not.
	h.push(t, "deep:1", imageOf(t, layerOf(t, layertest.File("a", strings.Repeat("some text ", 1<<20)))))
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := openStore(t, roots.Roots{State: dir + "/state", Run: dir + "/run"})
	for _, ref := range []string{"/big:1", "/deep:1"} {
		_, _, err := pull(s, h.host+ref)
		if !errors.Is(err, unix.ENOSPC) || !errors.Is(err, errdefs.ErrUnavailable) {
			t.Errorf("%s: error is %v", ref, err)
			continue
		}
		for _, want := range []string{"no space left on " + s.dir.Path(), "free", "--state-root"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error is %q, expected %q in it", err, want)
			}
		}
		nothingLeft(t, s)
	}
}

// TestTwoStores: two processes may use one root.
func TestTwoStores(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	for i := range 4 {
		h.push(t, fmt.Sprintf("app:%d", i), imageOf(t, layerOf(t, layertest.File("shared", "1")), layerOf(t, layertest.File("own", fmt.Sprint(i)))))
	}
	a := newStore(t)
	b := openStore(t, rootsOf(a))
	var wg sync.WaitGroup
	for _, s := range []*Store{a, b} {
		for i := range 4 {
			wg.Go(func() {
				if _, _, err := pull(s, fmt.Sprintf("%s/app:%d", h.host, i)); err != nil {
					t.Error(err)
				}
			})
			// Opening sweeps, and must not sweep what is being made.
			wg.Go(func() {
				s, err := Open(context.Background(), Options{Roots: rootsOf(a)})
				if err != nil {
					t.Error(err)
					return
				}
				s.Close(context.Background()) //nolint:errcheck // nothing to wait for
			})
		}
	}
	wg.Wait()
	for _, s := range []*Store{a, b} {
		if list, err := s.List(context.Background()); err != nil || len(list) != 4 {
			t.Errorf("%d images, %v; expected 4", len(list), err)
		}
	}
	if layers := must(filepath.Glob(a.dir.Path("layers/sha256/*"))); len(layers) != 5 {
		t.Errorf("%d layers, expected 5", len(layers))
	}
	if left := must(filepath.Glob(a.dir.Path("tmp/*"))); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
