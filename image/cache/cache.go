package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/push"
	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/internal/reference"
)

// Caches reads and writes caches. Its methods may be called from many goroutines.
type Caches struct {
	registry *registry.Client
	layers   *layer.Store
	push     *push.Pusher
	dirs     keylock.Locks // of directories that are being written
}

// New has the caches of registries and directories, with layers of this host.
func New(registry *registry.Client, layers *layer.Store, push *push.Pusher) *Caches {
	return &Caches{registry: registry, layers: layers, push: push}
}

// Read reads what at has; no layer is fetched. auth is what is shown to a registry, nil = what this host has stored. note is told what is odd and no error. at.Dir is absolute. Errors:
// ErrNone, ErrForeign, those of a pull, fs.ErrNotExist of a directory.
func (c *Caches) Read(ctx context.Context, at buildcache.Place, auth *credentials.Auth, note func(string)) (*Contents, error) {
	if at.Type == buildcache.Local {
		d, err := openDirectory(at.Dir, at.Tag)
		if err != nil {
			return nil, err
		}
		return read(ctx, d, at.Dir, at.Tag)
	}
	ref, err := reference.Parse(at.Ref)
	if err != nil {
		return nil, err
	}
	return read(ctx, repository{c.registry.Source(ref, auth, note)}, ref.Familiar(), ref.Identifier())
}

// repository is a source.
type repository struct{ *registry.Source }

func (r repository) Blob(ctx context.Context, desc v1.Descriptor) (io.ReadCloser, error) {
	return r.Source.Blob(ctx, desc), nil
}

// target is where a cache is written.
type target interface {
	// Layer puts the layer diff there, which is here, and says as what.
	Layer(ctx context.Context, diff v1.Hash) (v1.Descriptor, error)
	// Has says whether the blob is there.
	Has(ctx context.Context, desc v1.Descriptor) (bool, error)
	Put(ctx context.Context, digest v1.Hash, raw []byte) error
	// Name makes doc what is there.
	Name(ctx context.Context, doc manifest.Document) error
}

// parallelLayers bounds the layers that are compressed at once.
const parallelLayers = 4

// Write makes document, with layers, what at has. A layer that is not here and not there is asked of bring, and left out when that fails. The caller keeps layers from being taken away
// meanwhile. note is as of Read.
func (c *Caches) Write(ctx context.Context, at buildcache.Place, auth *credentials.Auth, document json.RawMessage, layers []v1.Hash, bring func(context.Context, v1.Hash) error, note func(string)) error {
	before, err := c.Read(ctx, at, auth, func(string) {})
	if err != nil {
		before = &Contents{} // whatever is there is written over
	}
	to, done, err := c.open(ctx, at, auth, layers, note)
	if err != nil {
		return err
	}
	defer done()
	w := &writing{Caches: c, to: to, before: before, bring: bring, descs: make(map[v1.Hash]v1.Descriptor)}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for _, diff := range layers {
		group.Go(func() error { return w.layer(gctx, diff) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return w.finish(ctx, document, layers)
}

func (c *Caches) open(ctx context.Context, at buildcache.Place, auth *credentials.Auth, layers []v1.Hash, note func(string)) (target, func(), error) {
	if at.Type == buildcache.Local {
		unlock, err := c.dirs.Lock(ctx, at.Dir)
		if err != nil {
			return nil, nil, err
		}
		d, err := makeDirectory(at.Dir, at.Tag, c.layers)
		if err != nil {
			unlock()
			return nil, nil, err
		}
		return d, func() { d.close(); unlock() }, nil
	}
	ref, err := reference.Parse(at.Ref)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.push.Open(ctx, ref, auth, layers, note)
	return s, func() {}, err
}

// writing is one Write.
type writing struct {
	*Caches
	to     target
	before *Contents
	bring  func(context.Context, v1.Hash) error

	mu    sync.Mutex
	descs map[v1.Hash]v1.Descriptor // by diff id, what is there; guarded by mu
}

func (w *writing) layer(ctx context.Context, diff v1.Hash) error {
	desc, ok := v1.Descriptor{}, false
	if !w.layers.Has([]v1.Hash{diff}) {
		var err error
		if desc, ok = w.before.layers[diff]; ok {
			if ok, err = w.to.Has(ctx, desc); err != nil {
				return err
			}
		}
		if !ok {
			if err := w.bring(ctx, diff); err != nil {
				return context.Cause(ctx)
			}
		}
	}
	if !ok {
		var err error
		if desc, err = w.to.Layer(ctx, diff); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.descs[diff] = v1.Descriptor{MediaType: manifest.OCILayer(desc.MediaType), Digest: desc.Digest, Size: desc.Size}
	return nil
}

// finish writes the documents, and names them.
func (w *writing) finish(ctx context.Context, document json.RawMessage, layers []v1.Hash) error {
	host := platform.Host()
	conf := configuration{Architecture: host.Architecture, OS: host.OS, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}, Document: document}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	for _, diff := range layers {
		if desc, ok := w.descs[diff]; ok {
			conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, diff)
			m.Layers = append(m.Layers, desc)
		}
	}
	raw, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	if len(raw) > manifest.MaxConfig {
		return fmt.Errorf("what is to be said of its steps is %s, and at most %s are read", content.SizeText(int64(len(raw))), content.SizeText(manifest.MaxConfig))
	}
	m.Config = v1.Descriptor{MediaType: Media, Size: int64(len(raw)), Digest: content.Digest(raw)}
	if err := w.to.Put(ctx, m.Config.Digest, raw); err != nil {
		return err
	}
	if raw, err = json.Marshal(m); err != nil {
		return err
	}
	return w.to.Name(ctx, manifest.Document{Raw: raw, Media: m.MediaType, Digest: content.Digest(raw)})
}
