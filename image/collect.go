package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Removal is what a Delete has come to.
type Removal struct {
	Untagged []string  // names that are gone, by tag and by digest, as users write them
	Deleted  []v1.Hash // images that are
	Bytes    int64     // of files in layers
}

// DeleteOptions of DeleteImage.
type DeleteOptions struct {
	// Force takes the last name of an image that is in use, which stays then without one; and an image by its id that has names in several repositories.
	Force bool
}

// Delete removes a name, and the image with it when that was its last one. By id it removes the image with all its
// names. errdefs.ErrConflict while a snapshot uses the image that would go, errdefs.ErrNotFound when there is none.
//
// Layers that no other image has are removed too, unless a pull is under way: then Prune finds them.
func (s *Store) Delete(ctx context.Context, ref string) error {
	_, err := s.delete(ctx, ref, func(rec *record, byID, used bool) error { return nil })
	return err
}

// DeleteImage is Delete as docker means it: an image with names in several repositories is not removed by id unless opt says so.
func (s *Store) DeleteImage(ctx context.Context, ref string, opt DeleteOptions) (Removal, error) {
	return s.delete(ctx, ref, func(rec *record, byID, used bool) error {
		switch {
		case opt.Force && used && !byID:
			return errKeep
		case !opt.Force && byID && rec.repositories() > 1:
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot remove image %s (must be forced): it has names in several repositories", content.Short(rec.ID)))
		}
		return nil
	})
}

// errKeep leaves an image without a name.
var errKeep = errors.New("the image stays")

// repositories is in how many the image has names by tag.
func (rec *record) repositories() int {
	seen := make(map[string]bool)
	for _, text := range rec.Refs {
		if ref, err := reference.Parse(text); err == nil {
			seen[ref.Name()] = true
		}
	}
	return len(seen)
}

// delete removes ref; may is asked of each image that would go.
func (s *Store) delete(ctx context.Context, ref string, may func(rec *record, byID, used bool) error) (Removal, error) {
	var gone Removal
	err := s.update(func(x *index) error {
		gone = Removal{}
		found, byID, err := x.find(ref)
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
				rec.unname(r)
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
					x.Images = slices.DeleteFunc(x.Images, func(r *record) bool { return r == rec })
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
		return Removal{}, err
	}
	gone.Bytes, err = s.collect(ctx)
	if errors.Is(err, errdefs.ErrConflict) {
		err = nil
	}
	return gone, err
}

// unname takes r's name away: with a digest every name of the repository that is by digest.
func (rec *record) unname(r reference.Reference) {
	if !r.HasDigest() {
		rec.Refs = slices.DeleteFunc(rec.Refs, func(ref string) bool { return ref == r.Tagged() })
		return
	}
	gone := func(ref string) bool { return strings.HasPrefix(ref, r.Name()+"@") }
	rec.Refs = slices.DeleteFunc(rec.Refs, gone)
	rec.Digests = slices.DeleteFunc(rec.Digests, gone)
}

// usedBy lists the snapshots of each image. The caller holds the lock.
func (s *Store) usedBy(ctx context.Context) (map[v1.Hash][]string, error) {
	records, err := s.snapshotRecords(ctx)
	if err != nil {
		return nil, err
	}
	used := make(map[v1.Hash][]string)
	for key, rec := range records {
		for _, i := range rec.images() {
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
func (s *Store) Prune(ctx context.Context) (Pruned, error) {
	var p Pruned
	err := s.update(func(x *index) error {
		used, err := s.usedBy(ctx)
		if err != nil {
			return err
		}
		for _, rec := range x.takeUnnamed(used) {
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

// takeUnnamed takes out the images that have lost their names and that no snapshot uses.
func (x *index) takeUnnamed(used map[v1.Hash][]string) (gone []*record) {
	x.Images = slices.DeleteFunc(x.Images, func(rec *record) bool {
		if len(rec.Refs) > 0 || len(used[rec.ID]) > 0 {
			return false
		}
		gone = append(gone, rec)
		return true
	})
	return gone
}

// collect removes what neither an image nor a snapshot leads to and returns the bytes of the layers that went.
func (s *Store) collect(ctx context.Context) (int64, error) {
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
	x, err := s.readIndex()
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
		var r layer.Record
		if b, err := os.ReadFile(filepath.Join(path, "layer.json")); err == nil && json.Unmarshal(b, &r) == nil {
			freed += r.Bytes
		}
		name := strings.ReplaceAll(strings.TrimPrefix(path, s.dir.Path()), "/", "-")
		if err := os.Rename(path, filepath.Join(tmp.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return freed, errors.Join(errs...)
}

// dead lists the layers, patches and blobs that neither an image of x nor a snapshot leads to. The caller holds the lock.
func (s *Store) dead(ctx context.Context, x *index) ([]string, error) {
	live, err := s.live(ctx, x)
	if err != nil {
		return nil, err
	}
	var dead []string
	for _, pattern := range []string{"layers/*/*", "patches/*", "blobs/*/*"} {
		paths, err := filepath.Glob(s.dir.Path(filepath.FromSlash(pattern)))
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
func (s *Store) live(ctx context.Context, x *index) (map[string]bool, error) {
	snapshots, err := s.snapshotRecords(ctx)
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
		live[s.blobPath(rec.ID)] = true
		live[s.blobPath(rec.Manifest)] = true
		for _, ref := range rec.Digests {
			if _, digest, ok := strings.Cut(ref, "@"); ok {
				if h, err := v1.NewHash(digest); err == nil {
					live[s.blobPath(h)] = true
				}
			}
		}
	}
	for _, rec := range snapshots {
		for _, i := range rec.images() {
			add(i.Layers, i.Patch)
			live[s.blobPath(i.Image)] = true
		}
	}
	return live, nil
}
