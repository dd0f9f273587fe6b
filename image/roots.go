package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/runtime/mount"
)

// Prepare gives the mounts of key's root on image id: one overlay at "/". It makes the snapshot if it is not there;
// one that is there is kept with what the container has written. errdefs.ErrNotFound when the image is not whole,
// errdefs.ErrConflict when key has a snapshot of another image.
func (s *Store) Prepare(ctx context.Context, key string, id v1.Hash) ([]mount.Mount, error) {
	return s.snapshots.Prepare(ctx, key, id)
}

// View gives the mount of all that image id has, read-only, for the container that has the snapshot key; its target is "/", for
// the caller to set, and its source is id, for whoever sees the mount. The snapshot holds the image from then on. Idempotent. errdefs.ErrNotFound when there is no snapshot or the image is not whole.
func (s *Store) View(ctx context.Context, key string, id v1.Hash) (mount.Mount, error) {
	return s.snapshots.View(ctx, key, id)
}

// Changes are the paths that container key has changed of its image, by path. A directory is there when its own attributes were changed, or what is in it. What
// a container has because it is one, and what is mounted in it, is not. What a running container does meanwhile is there or not. errdefs.ErrNotFound when there is no such snapshot.
func (s *Store) Changes(ctx context.Context, key string) ([]Change, error) {
	return s.snapshots.Changes(ctx, key)
}

// Remove deletes the snapshot key and what its container has written. Missing = success. The files go in the background: who removes a container
// waits for its name, not for each of its files. Settle waits for them.
func (s *Store) Remove(ctx context.Context, key string) error {
	return s.snapshots.Remove(ctx, key)
}

// Settle waits until what Remove left to the background is done.
func (s *Store) Settle(ctx context.Context) error {
	return s.snapshots.Settle(ctx)
}

// Snapshots lists the keys that have a snapshot, sorted.
func (s *Store) Snapshots(ctx context.Context) ([]string, error) {
	return s.snapshots.Keys(ctx)
}
