package build

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/objectid"
)

// memory is Images of nothing but the layers that were made.
type memory struct {
	Images
	layers  map[v1.Hash]bool
	removed []string
}

func (m *memory) Commit(_ context.Context, key string, _ time.Time) (image.Layer, error) {
	l := image.Layer{DiffID: v1.Hash{Algorithm: "sha256", Hex: objectid.New()}, Entries: 1}
	m.layers[l.DiffID] = true
	return l, nil
}

func (m *memory) HasLayers(_ context.Context, layers []v1.Hash) bool {
	for _, d := range layers {
		if !m.layers[d] {
			return false
		}
	}
	return true
}

func (m *memory) ReadCache(context.Context, buildcache.Place, *image.Auth, func(string)) (*image.Cache, error) {
	return nil, errors.New("there is none")
}

func (m *memory) Remove(_ context.Context, key string) error {
	m.removed = append(m.removed, key)
	return nil
}

// TestLayerStep: what was made is found again, unless it failed, was not to be kept, or its layer is gone.
func TestLayerStep(t *testing.T) {
	images := &memory{layers: map[v1.Hash]bool{}}
	b := &Builder{opt: Options{Images: images}, steps: stepCache{t.TempDir()}}
	w := &worker{job: &job{b: b, r: &Request{}, steps: map[string]stepRecord{}, slots: make(chan struct{}, 1)}, stage: &stage{}}
	made := 0
	do := func(key string, keep bool, fail error) (stepRecord, bool) {
		t.Helper()
		r, cached, err := w.layerStep(t.Context(), key, Progress{}, func(context.Context, string) (bool, error) {
			made++
			return keep, fail
		})
		if !errors.Is(err, fail) {
			t.Fatalf("the error is %v, expected %v", err, fail)
		}
		return r, cached
	}
	first, cached := do("a", true, nil)
	again, cachedAgain := do("a", true, nil)
	if cached || !cachedAgain || made != 1 || again.Layer != first.Layer {
		t.Errorf("the same step: %+v %v, then %+v %v, made %d times", first, cached, again, cachedAgain, made)
	}
	failure := errors.New("it fails")
	do("b", true, failure)
	if len(images.removed) != 1 || !ofBuild(images.removed[0]) {
		t.Errorf("of a step that fails %q was removed", images.removed)
	}
	if _, cached := do("b", false, nil); cached {
		t.Error("a step that failed is found again")
	}
	if _, cached := do("b", true, nil); cached {
		t.Error("a step that was not to be kept is found again")
	}
	clear(images.layers)
	if _, cached := do("a", true, nil); cached {
		t.Error("a step whose layer is gone is found again")
	}
	w.stage.noCache = true
	if _, cached := do("a", true, nil); cached {
		t.Error("a step is found again where that was not wanted")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure)
	b.steps.dir = t.TempDir()
	w.slots <- struct{}{} // all are taken
	if _, _, err := w.layerStep(ctx, "c", Progress{}, nil); !errors.Is(err, failure) {
		t.Errorf("a step that waits for its turn when all is over: %v", err)
	}
}

// TestLostForAll: a layer that no cache has any more is lost for each of the steps that need it, also for one that comes to it while the first still waits for others: the build is begun again
// and not failed by a layer that nobody knows of.
func TestLostForAll(t *testing.T) {
	images := &memory{layers: map[v1.Hash]bool{}}
	gone := v1.Hash{Algorithm: "sha256", Hex: objectid.New()}
	j := &job{
		b: &Builder{opt: Options{Images: images}, steps: stepCache{t.TempDir()}}, r: &Request{CacheFrom: make([]buildcache.Place, 1)},
		imports: &imports{taken: map[v1.Hash]map[string]stepRecord{gone: {"a": {Layer: gone.String()}}}, lost: map[v1.Hash]bool{}},
	}
	for _, who := range []string{"the first", "the second"} {
		if err := j.bring(t.Context(), []v1.Hash{gone}); !errors.As(err, new(*lostError)) {
			t.Errorf("for %s it is %v", who, err)
		}
	}
	images.layers[gone] = true // its step was done again, and has come to the same
	if err := j.bring(t.Context(), []v1.Hash{gone}); err != nil {
		t.Error(err)
	}
}

// TestCachesReadBeside: a step that looks nothing up, since it is to be done anew, needs layers while another one's stage reads the caches. It is for the race detector.
func TestCachesReadBeside(t *testing.T) {
	j := &job{b: &Builder{opt: Options{Images: &memory{}}, steps: stepCache{t.TempDir()}}, r: &Request{CacheFrom: make([]buildcache.Place, 1)}, imports: new(imports), steps: map[string]stepRecord{}}
	var beside sync.WaitGroup
	beside.Go(func() {
		if _, ok := j.known(t.Context(), "a"); ok {
			t.Error("it is known")
		}
	})
	if err := j.bring(t.Context(), []v1.Hash{{Algorithm: "sha256", Hex: objectid.New()}}); err != nil {
		t.Error(err)
	}
	beside.Wait()
}
