package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Resolve finds a local image by reference, digest, id, or a prefix of an id that only one image has. An image of a
// platform that p (the zero value: this host's) cannot run counts as missing: errdefs.ErrNotFound, naming what is there.
// Named by id, an image of any platform is found when p is zero.
func (s *Store) Resolve(ctx context.Context, ref string, p v1.Platform) (Info, error) {
	return s.catalog.Resolve(ref, p)
}

// List returns every image that is whole, latest pulled first.
func (s *Store) List(ctx context.Context) ([]Info, error) { return s.catalog.List() }

// ConfigFile is the whole configuration of a local image, the caller's own copy. errdefs.ErrNotFound when it is not here.
func (s *Store) ConfigFile(ctx context.Context, id v1.Hash) (*v1.ConfigFile, error) {
	return s.catalog.ConfigFile(id)
}

// Layers are those of the local image id, lowest first. errdefs.ErrNotFound when it is not here, or not whole.
func (s *Store) Layers(ctx context.Context, id v1.Hash) ([]LayerInfo, error) {
	return s.catalog.Layers(id)
}

// Tag gives the image id further names, which leave the images that had them. Nothing is written when it has them all.
func (s *Store) Tag(ctx context.Context, id v1.Hash, refs ...string) (Info, error) {
	return s.catalog.Tag(id, refs...)
}

// Delete removes a name, and the image with it when that was its last one. By id it removes the image with all its
// names. errdefs.ErrConflict while a snapshot uses the image that would go, errdefs.ErrNotFound when there is none.
//
// Layers that no other image has are removed too, unless a pull is under way: then Prune finds them.
func (s *Store) Delete(ctx context.Context, ref string) error {
	return s.removal.Delete(ctx, ref)
}

// DeleteImage is Delete as docker means it: an image with names in several repositories is not removed by id unless opt says so.
func (s *Store) DeleteImage(ctx context.Context, ref string, opt DeleteOptions) (Removal, error) {
	return s.removal.DeleteImage(ctx, ref, opt)
}

// Prune removes images that have lost their names and that no snapshot uses, then layers, patches and blobs that
// nothing leads to. errdefs.ErrConflict while a pull or a load is under way.
func (s *Store) Prune(ctx context.Context) (Pruned, error) {
	return s.removal.Prune(ctx)
}

// Sweep names what is left of work that was cut off, and what neither a name nor a container leads to: attempts, images that have lost
// their names, layers, patches and blobs. With remove it removes them. An image that has a name stays. errdefs.ErrConflict while a pull or
// a load is under way.
func (s *Store) Sweep(ctx context.Context, remove bool) ([]string, error) {
	return s.removal.Sweep(ctx, remove)
}
