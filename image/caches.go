package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/cache"
	"github.com/stackrun/stack/internal/buildcache"
)

// Cache is what a place outside of this host has of what builders have put there: a document of theirs, and layers.
type Cache = cache.Contents

// Why there is nothing to be read in a place.
var (
	ErrNoCache      = cache.ErrNone    // an image without one
	ErrForeignCache = cache.ErrForeign // one of another builder
)

// InlineCache is the configuration conf, as it is recorded, with a builder's document in it, which is found again by ReadCache.
func InlineCache(conf *v1.ConfigFile, document json.RawMessage) ([]byte, error) {
	return cache.Inline(conf, document)
}

// ReadCache reads what at has; no layer is fetched. auth is shown to a registry, nil = what this host has stored. note is told what is odd and no error. at.Dir is absolute. Errors: ErrNoCache, ErrForeignCache, those of
// Pull, fs.ErrNotExist of a directory.
func (s *Store) ReadCache(ctx context.Context, at buildcache.Place, auth *Auth, note func(string)) (*Cache, error) {
	return s.caches.Read(ctx, at, auth, note)
}

// WriteCache makes document, with layers, what at has: blobs that are there already are not written again, and in a directory those that nothing leads to any more are removed. A layer that is neither here nor there is
// asked of bring, and left out when that fails. auth and note are as of ReadCache.
func (s *Store) WriteCache(ctx context.Context, at buildcache.Place, auth *Auth, document json.RawMessage, layers []v1.Hash, bring func(context.Context, v1.Hash) error, note func(string)) error {
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return err
	}
	defer busy.Close()
	return s.caches.Write(ctx, at, auth, document, layers, bring, note)
}

// FetchLayer makes the layer diff of what c has, unless it is here, verified by its digest and its diff id. It is held until Release.
func (s *Store) FetchLayer(ctx context.Context, c *Cache, diff v1.Hash) error {
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return err
	}
	defer busy.Close()
	if err := s.layers.Hold(diff); err != nil {
		return err
	}
	if _, err := s.layers.Read(diff); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !c.Has(diff) {
		return fmt.Errorf("it has no layer %.12s: %w", diff.Hex, fs.ErrNotExist)
	}
	src := c.Layer(diff)
	if err := s.dir.Room(src.Size); err != nil {
		return err
	}
	synced, err := s.layers.BeginUnsynced([]v1.Hash{diff})
	if err != nil {
		return err
	}
	defer synced()
	_, err = s.layers.Ensure(ctx, src, func(Progress) {})
	return err
}
