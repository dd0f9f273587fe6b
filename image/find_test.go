package image

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestFindThenPullAsksOnce(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	var manifests, blobs atomic.Int32
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			manifests.Add(1)
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			blobs.Add(1)
		}
		return false
	})
	s := newStore(t)
	ref := h.host + "/app:1"
	if err := s.Find(context.Background(), ref, v1.Platform{}); err != nil {
		t.Fatal(err)
	}
	if n := blobs.Load(); n != 1 {
		t.Errorf("Find fetched %d blobs, want the configuration only", n)
	}
	if list, err := s.List(context.Background()); err != nil || len(list) > 0 {
		t.Errorf("Find made %v, %v", list, err)
	}
	for range 2 {
		if _, _, err := pull(s, ref); err != nil {
			t.Fatal(err)
		}
	}
	if n := manifests.Load(); n != 2 {
		t.Errorf("%d manifests asked for: want one by Find, none by the first Pull, one by the second", n)
	}
	if err := s.Find(context.Background(), h.host+"/nothing:1", v1.Platform{}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
}
