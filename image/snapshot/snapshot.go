package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/overlay"
	"github.com/stackrun/stack/image/patch"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/background"
	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/mount"
)

// Store keeps the snapshots. Its methods may be called from many goroutines.
type Store struct {
	roots   roots.Roots
	dir     *storage.Dir
	catalog *catalog.Catalog
	layers  *layer.Store
	patches *patch.Store

	removals background.Group // of what is out of sight
	removing sync.Mutex
}

// Open makes snapshots below the state root of r, of images of catalog.
func Open(r roots.Roots, dir *storage.Dir, catalog *catalog.Catalog, layers *layer.Store, patches *patch.Store) (*Store, error) {
	return &Store{roots: r, dir: dir, catalog: catalog, layers: layers, patches: patches}, dir.Make("empty", "void")
}

// record is snapshots/<key>/image.json. It is written last: a snapshot without it was cut off while it was
// made and nothing has run on it.
type record struct {
	Version int       `json:"version"`
	Image   v1.Hash   `json:"image,omitzero"`
	Layers  []v1.Hash `json:"layers"` // lowest first
	Patch   string    `json:"patch,omitempty"`

	// Bare is for a step of a build: there is nothing on it that a layer should not have.
	Bare bool `json:"bare,omitempty"`

	Views []Base `json:"views,omitempty"`
}

const snapshotVersion = 1

// dockerenv is in the root of every container.
const dockerenv = ".dockerenv"

// keyPattern keeps a key one path element.
var keyPattern = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

func (s *Store) snapshotDir(key string) (string, error) {
	if !keyPattern.MatchString(key) {
		return "", errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use %q as the key of a snapshot", key))
	}
	return s.roots.InState("snapshots", key), nil
}

// Prepare gives the mounts of key's root on image id: one overlay at "/". It makes the snapshot if it is not there;
// one that is there is kept with what the container has written. errdefs.ErrNotFound when the image is not whole,
// errdefs.ErrConflict when key has a snapshot of another image.
func (s *Store) Prepare(ctx context.Context, key string, id v1.Hash) ([]mount.Mount, error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return nil, err
	}
	rec, err := readSnapshot(dir)
	if err == nil {
		if rec.Image != id || rec.Bare {
			return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot prepare %s on image %s: it has a snapshot of image %s", key, content.Short(id), content.Short(rec.Image)))
		}
		return s.mounts(dir, rec), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	// Delete and Prune hold this lock while they look which layers are in use.
	lock, err := s.dir.Lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if rec, err := readSnapshot(dir); err == nil && rec.Image == id {
		return s.mounts(dir, rec), nil // made meanwhile
	}
	x, err := s.catalog.Index()
	if err != nil {
		return nil, err
	}
	img := x.ByID(id)
	if img == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot prepare %s: image %s is not here", key, content.Short(id)))
	}
	if err := s.catalog.Whole(img); err != nil {
		return nil, fmt.Errorf("cannot prepare %s: %w", key, err)
	}
	rec = record{Version: snapshotVersion, Image: id, Layers: img.Layers, Patch: img.Patch}
	if err := s.makeSnapshot(dir, rec); err != nil {
		return nil, fmt.Errorf("cannot prepare %s: %w", key, storage.Explain(s.roots.State, err))
	}
	return s.mounts(dir, rec), nil
}

func (s *Store) makeSnapshot(dir string, rec record) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	undo := cleanup.Make(func() { os.RemoveAll(dir) })
	defer undo.Clean()
	upper := filepath.Join(dir, "upper")
	// 0700 on the way down: what is below has the container's own modes.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range []string{upper, filepath.Join(dir, "work")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	failpoint.Hit("image.snapshot.directories")
	// Programs and test suites take an empty file of this name for the word that they run in a container of docker's kind, whose
	// every root has it (moby, daemon/initlayer). Of the same mode; an image's own is covered.
	if !rec.Bare {
		if err := os.WriteFile(filepath.Join(upper, dockerenv), nil, 0o755); err != nil {
			return err
		}
	}
	// overlayfs takes the root's owner, mode and times from the upper directory.
	if err := s.giveRoot(upper, rec.Layers); err != nil {
		return err
	}
	failpoint.Hit("image.snapshot.root")
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	// Not synced: after a power cut a container that was being made is made again.
	if err := atomicfile.Write(filepath.Join(dir, "image.json"), b, 0o600, atomicfile.NoSync); err != nil {
		return err
	}
	undo.Release()
	return nil
}

// giveRoot gives dir the attributes of the image's root: those of the topmost layer that has an entry for it.
func (s *Store) giveRoot(dir string, layers []v1.Hash) error {
	for _, d := range slices.Backward(layers) {
		r, err := s.layers.Read(d)
		if err != nil {
			return err
		}
		if r.Root {
			return overlay.CopyAttributes(s.layers.FS(d), dir)
		}
	}
	return errors.Join(os.Chmod(dir, 0o755), os.Chtimes(dir, time.Unix(0, 0), time.Unix(0, 0)))
}

func readSnapshot(dir string) (record, error) {
	var rec record
	path := filepath.Join(dir, "image.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if rec.Version != snapshotVersion {
		return rec, fmt.Errorf("cannot use %s: it has version %d and this program knows version %d", path, rec.Version, snapshotVersion)
	}
	return rec, nil
}

func (s *Store) mounts(dir string, rec record) []mount.Mount {
	return []mount.Mount{{
		Type:   "overlay",
		Source: "overlay",
		Target: "/",
		Lower:  s.lower(rec.Layers, rec.Patch),
		Upper:  filepath.Join(dir, "upper"),
		Work:   filepath.Join(dir, "work"),
	}}
}

// lower lists the directories of layers, topmost first. overlayfs refuses a directory that is given twice. Of a
// layer that an image has twice the upper one decides: whatever the lower one shows or hides, it shows or hides too.
func (s *Store) lower(layers []v1.Hash, patch string) []string {
	var dirs []string
	if patch != "" {
		dirs = append(dirs, s.patches.FS(patch))
	}
	seen := make(map[v1.Hash]bool)
	for _, d := range slices.Backward(layers) {
		if !seen[d] {
			seen[d] = true
			dirs = append(dirs, s.layers.FS(d))
		}
	}
	if len(dirs) == 0 {
		// An image of nothing but a configuration; overlayfs wants one lower directory.
		dirs = append(dirs, s.dir.Path("empty"))
	}
	return dirs
}

// Remove deletes the snapshot key and what its container has written. Missing = success. The files go in the background: who removes a container
// waits for its name, not for each of its files. Settle waits for them.
func (s *Store) Remove(ctx context.Context, key string) error {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return err
	}
	// First out of sight, so that what a crash leaves is swept and never taken for a snapshot.
	gone, err := s.dir.Hide(dir)
	if err != nil {
		return fmt.Errorf("cannot remove snapshot %s: %w", key, err)
	}
	if gone != nil {
		s.removals.Go(func() {
			s.removing.Lock() // one at a time: a down of hundreds would be a thread for each
			defer s.removing.Unlock()
			gone.Drop()
		})
	}
	return nil
}

// Settle waits until what Remove left to the background is done.
func (s *Store) Settle(ctx context.Context) error {
	return s.removals.Wait(ctx)
}

// Keys lists the keys that have a snapshot, sorted.
func (s *Store) Keys(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(s.roots.InState("snapshots"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var keys []string
	for _, e := range entries {
		if e.IsDir() && keyPattern.MatchString(e.Name()) {
			keys = append(keys, e.Name())
		}
	}
	return keys, nil
}

// Bases says what each snapshot stands on, by key. The caller holds the lock of the store's directory.
func (s *Store) Bases(ctx context.Context) (map[string][]Base, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return nil, err
	}
	bases := make(map[string][]Base, len(keys))
	for _, key := range keys {
		rec, err := readSnapshot(s.roots.InState("snapshots", key))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		bases[key] = append([]Base{{Image: rec.Image, Layers: rec.Layers, Patch: rec.Patch}}, rec.Views...)
	}
	return bases, nil
}
