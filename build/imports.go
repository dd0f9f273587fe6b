package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/runtime/mount"
)

// imports are what the caches have that a build takes steps from. They are read when the first step is not known to this host. A step that one of them knows is taken for done; its layer is fetched when somebody needs
// the files, and what turns out not to be there is lost: the build is begun again, and does those steps. A zero imports is ready.
type imports struct {
	once sync.Once

	mu     sync.Mutex
	steps  map[string][]stepRecord           // by key, in the order of the caches
	offers map[v1.Hash][]offer               // who has a layer
	taken  map[v1.Hash]map[string]stepRecord // the steps that were taken, by layer and key: noted on this host with the layer
	lost   map[v1.Hash]bool
}

// offer is a cache that has a layer.
type offer struct {
	name  string
	cache *image.Cache
}

// lostError is a layer of a step that was taken for done and cannot be had.
type lostError struct{ layer v1.Hash }

func (e *lostError) Error() string {
	return fmt.Sprintf("layer %.12s cannot be had from a cache any more", e.layer.Hex)
}

// read reads the caches of j.
func (im *imports) read(ctx context.Context, j *job) {
	found := make([]*image.Cache, len(j.r.CacheFrom))
	documents := make([]document, len(j.r.CacheFrom))
	var group sync.WaitGroup
	for i, at := range j.r.CacheFrom {
		group.Go(func() {
			c, d, err := j.readCache(ctx, at)
			if err == nil {
				found[i], documents[i] = c, d
			} else if ctx.Err() == nil {
				j.note(fmt.Sprintf("cache %s is not used: %v", at, err))
			}
		})
	}
	group.Wait()
	im.mu.Lock() // a step that looks nothing up may need layers meanwhile
	defer im.mu.Unlock()
	im.steps, im.offers = map[string][]stepRecord{}, map[v1.Hash][]offer{}
	im.taken, im.lost = map[v1.Hash]map[string]stepRecord{}, map[v1.Hash]bool{}
	for i, d := range documents {
		for _, s := range d.Steps {
			im.steps[s.Key] = append(im.steps[s.Key], s.stepRecord)
			for _, layer := range s.layers() {
				o := offer{j.r.CacheFrom[i].String(), found[i]}
				if found[i].Has(layer) && !slices.Contains(im.offers[layer], o) {
					im.offers[layer] = append(im.offers[layer], o)
				}
			}
		}
	}
}

func (j *job) readCache(ctx context.Context, at buildcache.Place) (*image.Cache, document, error) {
	var auth *image.Auth
	if at.Type == buildcache.Registry {
		if j.r.Offline {
			return nil, document{}, errors.New("nothing is fetched offline")
		}
		var err error
		if auth, err = j.r.auth(at.Ref); err != nil {
			return nil, document{}, err
		}
	}
	began := time.Now()
	p := Progress{Phase: Started, Text: "read cache " + at.String()}
	j.tell(p)
	c, err := j.b.opt.Images.ReadCache(ctx, at, auth, j.note)
	p.Phase, p.Took = Done, time.Since(began)
	j.tell(p)
	if err != nil {
		return nil, document{}, err
	}
	d, err := readDocument(c.Document)
	return c, d, err
}

// take is the step key as a cache has it. here says whether a layer is on this host.
func (im *imports) take(key string, here func(...v1.Hash) bool) (stepRecord, bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, r := range im.steps[key] {
		layers := r.layers()
		if slices.ContainsFunc(layers, func(d v1.Hash) bool { return im.lost[d] && !here(d) }) {
			continue
		}
		for _, d := range layers {
			if im.taken[d] == nil {
				im.taken[d] = map[string]stepRecord{}
			}
			im.taken[d][key] = r
		}
		return r, true
	}
	return stepRecord{}, false
}

// lose has no cache asked for layer again.
func (im *imports) lose(layer v1.Hash) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.lost[layer] = true
	delete(im.taken, layer)
}

// known is what a step, or whatever else has a key, has come to: on this host, where its layer must be, or in a cache.
func (j *job) known(ctx context.Context, key string) (stepRecord, bool) {
	here := func(layers ...v1.Hash) bool { return j.b.opt.Images.HasLayers(ctx, layers) }
	r, ok := j.b.steps.lookup(key)
	if ok = ok && here(r.layers()...); !ok && len(j.r.CacheFrom) > 0 {
		j.imports.once.Do(func() { j.imports.read(ctx, j) })
		if r, ok = j.imports.take(key, here); ok && r.Layer == "" {
			ok = j.b.steps.store(key, r) == nil
		}
	}
	if ok {
		j.used(key, r)
	}
	return r, ok
}

// keep notes what key has come to.
func (j *job) keep(key string, r stepRecord) error {
	j.used(key, r)
	return j.b.steps.store(key, r)
}

func (j *job) used(key string, r stepRecord) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Version = 0 // that is the file's
	j.steps[key] = r
}

// prepare is Images.PrepareLayers, with the layers that caches have brought here.
func (j *job) prepare(ctx context.Context, key string, layers []v1.Hash, beside ...[]v1.Hash) ([]mount.Mount, error) {
	if err := j.bring(ctx, slices.Concat(append([][]v1.Hash{layers}, beside...)...)); err != nil {
		return nil, err
	}
	return j.b.opt.Images.PrepareLayers(ctx, key, layers, beside...)
}

// bring fetches those of layers that are of steps of caches. *lostError, when all of them were tried, if one cannot be had: it is taken from no cache again.
func (j *job) bring(ctx context.Context, layers []v1.Hash) error {
	if len(j.r.CacheFrom) == 0 {
		return nil
	}
	var group errgroup.Group
	group.SetLimit(parallelFetches)
	for i, d := range layers {
		if slices.Contains(layers[:i], d) {
			continue
		}
		group.Go(func() error {
			err := j.fetch(ctx, d)
			if lost := (*lostError)(nil); errors.As(err, &lost) {
				j.note(fmt.Sprintf("the step that has made layer %.12s is done again: no cache has the layer any more, or none has kept it (mode=max keeps those of all stages)", d.Hex))
				j.imports.lose(d)
			}
			return err
		})
	}
	return group.Wait()
}

// parallelFetches bounds the layers that one step waits for at once; the store of layers has a bound for all.
const parallelFetches = 8

// fetch has the layer here, if it is one of a cache's, and notes the steps that have made it. *lostError when it cannot be had.
func (j *job) fetch(ctx context.Context, layer v1.Hash) error {
	im := j.imports
	im.mu.Lock()
	taken, offers, lost := im.taken[layer], im.offers[layer], im.lost[layer]
	im.mu.Unlock()
	if taken == nil {
		if lost && !j.b.opt.Images.HasLayers(ctx, []v1.Hash{layer}) {
			return &lostError{layer} // another step has found out, and waits for the rest of its layers before it says so
		}
		return nil
	}
	if !j.fetchFrom(ctx, offers, layer) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &lostError{layer}
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	for key, r := range im.taken[layer] {
		if err := j.b.steps.store(key, r); err != nil {
			return err
		}
	}
	delete(im.taken, layer)
	return nil
}

// fetchFrom tries the caches that have the layer, one after another. One that is here already is held.
func (j *job) fetchFrom(ctx context.Context, offers []offer, layer v1.Hash) bool {
	images := j.b.opt.Images
	if images.HasLayers(ctx, []v1.Hash{layer}) {
		offers = append(slices.Clone(offers), offer{cache: new(image.Cache)})
	}
	for _, o := range offers {
		err := images.FetchLayer(ctx, o.cache, layer)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		j.note(fmt.Sprintf("layer %.12s of cache %s cannot be used: %s", layer.Hex, o.name, text))
	}
	return false
}
