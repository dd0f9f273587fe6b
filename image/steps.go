package image

import (
	"context"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/runtime/mount"
)

// PrepareLayers gives the mounts of the root of a step of a build: an overlay at "/" on layers, lowest first, none being an empty root; then for each
// of beside a read-only one of those layers, whose targets are for the caller to set. It makes the snapshot key, which holds all of the layers until Commit or
// Remove. Unlike that of Prepare, its root has nothing but what the layers have. errdefs.ErrNotFound when a layer is not here, errdefs.ErrAlreadyExists when there is a snapshot key.
func (s *Store) PrepareLayers(ctx context.Context, key string, layers []v1.Hash, beside ...[]v1.Hash) ([]mount.Mount, error) {
	return s.snapshots.PrepareLayers(ctx, key, layers, beside...)
}

// Commit turns what was written on the snapshot key of PrepareLayers into a layer, which is held until Release, and removes the snapshot. Nothing may
// run on it any more. No file of it gets a time after latest, unless that is zero. A layer without entries is
// none: nothing is held then.
func (s *Store) Commit(ctx context.Context, key string, latest time.Time) (Layer, error) {
	return s.snapshots.Commit(ctx, key, latest)
}

// Held lists the layers that Commit has made and nobody has released.
func (s *Store) Held(ctx context.Context) ([]v1.Hash, error) { return s.layers.Held() }

// HasLayers says whether all of layers are there.
func (s *Store) HasLayers(ctx context.Context, layers []v1.Hash) bool { return s.layers.Has(layers) }

// Release lets go of layers, and takes away those that no image and no snapshot has; while something is being pulled or loaded Prune does that later. What is not held = success.
func (s *Store) Release(ctx context.Context, layers ...v1.Hash) error {
	return s.removal.Release(ctx, layers...)
}

// Sync brings the layers that were made here to the disk, in a while. A store that is closed before has left that to the next one.
func (s *Store) Sync() { s.layers.Sync() }
