package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/mount"
)

// Base is an image that a container has mounted besides the one that it runs on: part of its snapshotRecord, so that what
// keeps the one keeps the other.
type Base struct {
	Image  v1.Hash   `json:"image,omitzero"`
	Layers []v1.Hash `json:"layers"`
	Patch  string    `json:"patch,omitempty"`
}

// View gives the mount of all that image id has, read-only, for the container that has the snapshot key; its target is "/", for
// the caller to set, and its source is id, for whoever sees the mount. The snapshot holds the image from then on. Idempotent. errdefs.ErrNotFound when there is no snapshot or the image is not whole.
func (s *Store) View(ctx context.Context, key string, id v1.Hash) (mount.Mount, error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return mount.Mount{}, err
	}
	lock, err := s.dir.Lock() // as Prepare
	if err != nil {
		return mount.Mount{}, err
	}
	defer lock.Close()
	rec, err := readSnapshot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return mount.Mount{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot mount image %s in %s: it has no snapshot", content.Short(id), key))
	}
	if err != nil {
		return mount.Mount{}, err
	}
	for _, v := range rec.Views {
		if v.Image == id {
			return s.viewMount(dir, v), nil
		}
	}
	x, err := s.catalog.Index()
	if err != nil {
		return mount.Mount{}, err
	}
	img := x.ByID(id)
	if img == nil {
		return mount.Mount{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot mount image %s in %s: it is not here", content.Short(id), key))
	}
	if err := s.catalog.Whole(img); err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount image %s in %s: %w", content.Short(id), key, err)
	}
	v := Base{Image: id, Layers: img.Layers, Patch: img.Patch}
	if err := s.makeView(dir, rec, v); err != nil {
		return mount.Mount{}, fmt.Errorf("cannot mount image %s in %s: %w", content.Short(id), key, storage.Explain(s.roots.State, err))
	}
	return s.viewMount(dir, v), nil
}

func (s *Store) makeView(dir string, rec record, v Base) error {
	top := viewTop(dir, v)
	if err := os.RemoveAll(top); err != nil { // of a call that was cut off
		return err
	}
	if err := os.Mkdir(top, 0o700); err != nil {
		return err
	}
	undo := cleanup.Make(func() { os.RemoveAll(top) })
	defer undo.Clean()
	if err := s.giveRoot(top, v.Layers); err != nil {
		return err
	}
	failpoint.Hit("image.view.root")
	rec.Views = append(rec.Views, v)
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, "image.json"), b, 0o600, atomicfile.NoSync); err != nil {
		return err
	}
	failpoint.Hit("image.view.recorded")
	undo.Release()
	return nil
}

// viewTop is an empty directory with the attributes of the image's root, the topmost layer of its view. Without it the root would be as the
// topmost layer's own, which may say nothing of it; and overlayfs mounts no single directory read-only.
func viewTop(dir string, v Base) string { return filepath.Join(dir, "view-"+v.Image.Hex) }

func (s *Store) viewMount(dir string, v Base) mount.Mount {
	return mount.Mount{
		Type: "overlay", Source: v.Image.String(), Target: "/",
		Lower: append([]string{viewTop(dir, v)}, s.lower(v.Layers, v.Patch)...),
		// Device nodes of an image are for who runs it.
		Options: []string{"ro", "nodev"},
	}
}
