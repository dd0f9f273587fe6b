package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

// deep is a path as long as the kernel takes in one piece, nearly.
var deep = strings.Repeat("d/", 1500)

// TestDeepPaths: a patch finds what lies deep. What that costs is BenchmarkDeepPaths' to tell.
func TestDeepPaths(t *testing.T) {
	root := pullDeep(t)
	expectOwner(t, root+"/d", 0o700, 0, 0)
	expectFiles(t, root, map[string]string{deep + "f": "2", deep + "g": "3"})
}

// BenchmarkDeepPaths: what a layer costs grows with what it holds, not with the third power of how deep it lies.
func BenchmarkDeepPaths(b *testing.B) {
	for b.Loop() {
		pullDeep(b)
	}
}

func pullDeep(t testing.TB) (root string) {
	return pullAndMount(t, layerOf(t, layertest.Dir("d", 0o700), layertest.File("a", "1")), layerOf(t, layertest.File(deep+"f", "2")),
		layerOf(t, layertest.File(deep+"g", "3")))
}

// TestPatchEndsWhenCancelled: no part of it goes on for nobody.
func TestPatchEndsWhenCancelled(t *testing.T) {
	sandbox.Require(t)
	var many []layertest.Entry
	for i := range 100 {
		many = append(many, layertest.File(fmt.Sprintf("d%d/f", i), ""))
	}
	h := newHub(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")), layerOf(t, many...))
	h.push(t, "app:1", img)
	s := onTmpfs(t)
	if _, err := s.Pull(context.Background(), h.host+"/app:1", v1.Platform{}, nil); err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the client has gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(gone)
	if _, err := s.patches.Ensure(ctx, config.RootFS.DiffIDs); !errors.Is(err, gone) {
		t.Errorf("got %v, expected %v", err, gone)
	}
}
