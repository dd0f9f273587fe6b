package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// LayerInfo is one layer of a local image.
type LayerInfo struct {
	DiffID v1.Hash
	Bytes  int64 // of its files
}

// Layers are those of the local image id, lowest first. errdefs.ErrNotFound when it is not here, or not whole.
func (s *Store) Layers(ctx context.Context, id v1.Hash) ([]LayerInfo, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	rec := x.byID(id)
	if rec == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s is not here", content.Short(id)))
	}
	list := make([]LayerInfo, len(rec.Layers))
	for i, d := range rec.Layers {
		l, err := s.layers.Read(d)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, s.whole(rec)
		}
		if err != nil {
			return nil, err
		}
		list[i] = LayerInfo{DiffID: d, Bytes: l.Bytes}
	}
	return list, nil
}

// Held lists the layers that Commit has made and nobody has released.
func (s *Store) Held(ctx context.Context) ([]v1.Hash, error) { return s.layers.Held() }

// HasLayers says whether all of layers are there.
func (s *Store) HasLayers(ctx context.Context, layers []v1.Hash) bool { return s.layers.Has(layers) }

// Sync brings the layers that were made here to the disk, in a while. A store that is closed before has left that to the next one.
func (s *Store) Sync() { s.layers.Sync() }

// Release lets go of layers, and takes away those that no image and no snapshot has; while something is being pulled or loaded Prune does that later. What is not held = success.
func (s *Store) Release(ctx context.Context, layers ...v1.Hash) error {
	err := s.layers.Release(layers...)
	if _, gone := s.collect(ctx); gone != nil && !errors.Is(gone, errdefs.ErrConflict) {
		err = errors.Join(err, gone)
	}
	return err
}
