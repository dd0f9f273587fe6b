package removal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/patch"
	"github.com/stackrun/stack/image/snapshot"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Remover takes away. Its methods may be called from many goroutines.
type Remover struct {
	dir       *storage.Dir
	catalog   *catalog.Catalog
	layers    *layer.Store
	patches   *patch.Store
	snapshots *snapshot.Store
}

// New removes from these parts of one store.
func New(dir *storage.Dir, catalog *catalog.Catalog, layers *layer.Store, patches *patch.Store, snapshots *snapshot.Store) *Remover {
	return &Remover{dir: dir, catalog: catalog, layers: layers, patches: patches, snapshots: snapshots}
}

// Result is what a Delete has come to.
type Result struct {
	Untagged []string  // names that are gone, by tag and by digest, as users write them
	Deleted  []v1.Hash // images that are
	Bytes    int64     // of files in layers
}

// Options of DeleteImage.
type Options struct {
	// Force takes the last name of an image that is in use, which stays then without one; and an image by its id that has names in several repositories.
	Force bool
}

// Delete removes a name, and the image with it when that was its last one. By id it removes the image with all its
// names. errdefs.ErrConflict while a snapshot uses the image that would go, errdefs.ErrNotFound when there is none.
//
// Layers that no other image has are removed too, unless a pull is under way: then Prune finds them.
func (s *Remover) Delete(ctx context.Context, ref string) error {
	_, err := s.delete(ctx, ref, func(rec *catalog.Record, byID, used bool) error { return nil })
	return err
}

// DeleteImage is Delete as docker means it: an image with names in several repositories is not removed by id unless opt says so.
func (s *Remover) DeleteImage(ctx context.Context, ref string, opt Options) (Result, error) {
	return s.delete(ctx, ref, func(rec *catalog.Record, byID, used bool) error {
		switch {
		case opt.Force && used && !byID:
			return errKeep
		case !opt.Force && byID && rec.Repositories() > 1:
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove image %s (must be forced): it has names in several repositories", content.Short(rec.ID)))
		}
		return nil
	})
}

// errKeep leaves an image without a name.
var errKeep = errors.New("the image stays")

// delete removes ref; may is asked of each image that would go.
func (s *Remover) delete(ctx context.Context, ref string, may func(rec *catalog.Record, byID, used bool) error) (Result, error) {
	var gone Result
	err := s.catalog.Update(func(x *catalog.Index) error {
		gone = Result{}
		found, byID, err := x.Find(ref)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot remove image %s: it is not here", ref))
		}
		inUse, err := s.usedBy(ctx)
		if err != nil {
			return err
		}
		for _, rec := range found {
			names := append(slices.Clone(rec.Refs), rec.Digests...)
			if !byID {
				r, err := reference.Parse(ref)
				if err != nil {
					return err
				}
				rec.Unname(r)
			}
			if byID || len(rec.Refs) == 0 {
				keys := inUse[rec.ID]
				err := may(rec, byID, len(keys) > 0)
				if err == nil && len(keys) > 0 {
					err = errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove image %s: it is in use by %s; remove %s first",
						ref, strings.Join(keys, ", "), map[bool]string{true: "it", false: "them"}[len(keys) == 1]))
				}
				switch {
				case err == nil:
					x.Images = slices.DeleteFunc(x.Images, func(r *catalog.Record) bool { return r == rec })
					gone.Deleted = append(gone.Deleted, rec.ID)
					rec.Refs, rec.Digests = nil, nil
				case !errors.Is(err, errKeep):
					return err
				}
			}
			for _, name := range names {
				if !slices.Contains(rec.Refs, name) && !slices.Contains(rec.Digests, name) && !slices.Contains(gone.Untagged, reference.Familiar(name)) {
					gone.Untagged = append(gone.Untagged, reference.Familiar(name))
				}
			}
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	gone.Bytes, err = s.collect(ctx)
	if errors.Is(err, errdefs.ErrConflict) {
		err = nil
	}
	return gone, err
}

// usedBy lists the snapshots of each image. The caller holds the lock.
func (s *Remover) usedBy(ctx context.Context) (map[v1.Hash][]string, error) {
	bases, err := s.snapshots.Bases(ctx)
	if err != nil {
		return nil, err
	}
	used := make(map[v1.Hash][]string)
	for key, all := range bases {
		for _, i := range all {
			if i.Image == (v1.Hash{}) {
				continue // a step of a build, which stands on layers
			}
			used[i.Image] = append(used[i.Image], fmt.Sprintf("%.12s", key))
		}
	}
	for id, keys := range used {
		slices.Sort(keys)
		used[id] = slices.Compact(keys) // one may run on an image and have it mounted too
	}
	return used, nil
}

// Pruned says what Prune removed.
type Pruned struct {
	Images []v1.Hash
	Bytes  int64 // of files in layers
}

// Prune removes images that have lost their names and that no snapshot uses, then layers, patches and blobs that
// nothing leads to. errdefs.ErrConflict while a pull or a load is under way.
func (s *Remover) Prune(ctx context.Context) (Pruned, error) {
	var p Pruned
	err := s.catalog.Update(func(x *catalog.Index) error {
		used, err := s.usedBy(ctx)
		if err != nil {
			return err
		}
		for _, rec := range x.TakeUnnamed(used) {
			p.Images = append(p.Images, rec.ID)
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	p.Bytes, err = s.collect(ctx)
	return p, err
}

// collect removes what neither an image nor a snapshot leads to and returns the bytes of the layers that went.
func (s *Remover) collect(ctx context.Context) (int64, error) {
	quiet, err := s.dir.TakeLayers()
	if err != nil {
		return 0, err
	}
	defer quiet.Close()

	tmp, err := s.dir.Scratch()
	if err != nil {
		return 0, err
	}
	// After the lock is gone: what takes long is done where it holds up nobody.
	defer tmp.Drop()

	lock, err := s.dir.Lock()
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	x, err := s.catalog.Index()
	if err != nil {
		return 0, err
	}
	dead, err := s.dead(ctx, x)
	if err != nil {
		return 0, err
	}
	var freed int64
	var errs []error
	for _, path := range dead {
		freed += layer.Bytes(path)
		name := strings.ReplaceAll(strings.TrimPrefix(path, s.dir.Path()), "/", "-")
		if err := os.Rename(path, filepath.Join(tmp.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return freed, errors.Join(errs...)
}

// dead lists the layers, patches and blobs that neither an image of x nor a snapshot leads to. The caller holds the lock.
func (s *Remover) dead(ctx context.Context, x *catalog.Index) ([]string, error) {
	live, err := s.live(ctx, x)
	if err != nil {
		return nil, err
	}
	var dead []string
	for _, there := range []func() ([]string, error){s.layers.Dirs, s.patches.Dirs, s.catalog.BlobPaths} {
		paths, err := there()
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if !live[path] {
				dead = append(dead, path)
			}
		}
	}
	return dead, nil
}

// live is the set of paths that the images of x and snapshots lead to. The caller holds the lock.
func (s *Remover) live(ctx context.Context, x *catalog.Index) (map[string]bool, error) {
	snapshots, err := s.snapshots.Bases(ctx)
	if err != nil {
		return nil, err
	}
	live := make(map[string]bool)
	add := func(layers []v1.Hash, patch string) {
		for _, d := range layers {
			live[s.layers.Dir(d)] = true
		}
		if patch != "" {
			live[s.patches.Dir(patch)] = true
		}
	}
	held, err := s.layers.Held()
	if err != nil {
		return nil, err
	}
	add(held, "")
	for _, rec := range x.Images {
		add(rec.Layers, rec.Patch)
		live[s.catalog.BlobPath(rec.ID)] = true
		live[s.catalog.BlobPath(rec.Manifest)] = true
		for _, ref := range rec.Digests {
			if _, digest, ok := strings.Cut(ref, "@"); ok {
				if h, err := v1.NewHash(digest); err == nil {
					live[s.catalog.BlobPath(h)] = true
				}
			}
		}
	}
	for _, all := range snapshots {
		for _, i := range all {
			add(i.Layers, i.Patch)
			live[s.catalog.BlobPath(i.Image)] = true
		}
	}
	return live, nil
}
