package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/pack"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/mount"
)

// PrepareLayers gives the mounts of the root of a step of a build: an overlay at "/" on layers, lowest first, none being an empty root; then for each
// of beside a read-only one of those layers, whose targets are for the caller to set. It makes the snapshot key, which holds all of the layers until Commit or
// Remove. Unlike that of Prepare, its root has nothing but what the layers have. errdefs.ErrNotFound when a layer is not here, errdefs.ErrAlreadyExists when there is a snapshot key.
func (s *Store) PrepareLayers(ctx context.Context, key string, layers []v1.Hash, beside ...[]v1.Hash) ([]mount.Mount, error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return nil, err
	}
	failed := func(err error) ([]mount.Mount, error) {
		return nil, fmt.Errorf("cannot prepare %.12s: %w", key, storage.Explain(s.roots.State, err))
	}
	lock, err := s.dir.Lock() // as Prepare
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if _, err := os.Lstat(dir); err == nil {
		return failed(errdefs.With(errdefs.ErrAlreadyExists, errors.New("there is such a snapshot")))
	}
	stacks := make([]Base, 0, 1+len(beside))
	for _, list := range append([][]v1.Hash{layers}, beside...) {
		if len(list) > manifest.MaxLayers {
			return failed(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("it has %d layers, overlayfs takes %d", len(list), manifest.MaxLayers)))
		}
		for _, d := range list {
			if _, err := os.Lstat(s.layers.Dir(d)); err != nil {
				return failed(errdefs.With(errdefs.ErrNotFound, fmt.Errorf("layer %s is not here any more", content.Short(d))))
			}
		}
		patch, err := s.patches.Ensure(ctx, list)
		if err != nil {
			return failed(err)
		}
		stacks = append(stacks, Base{Layers: list, Patch: patch})
	}
	rec := record{Version: snapshotVersion, Layers: layers, Patch: stacks[0].Patch, Bare: true, Views: stacks[1:]}
	if err := s.makeSnapshot(dir, rec); err != nil {
		return failed(err)
	}
	mounts := s.mounts(dir, rec)
	for _, v := range rec.Views {
		m := mount.Mount{Type: "overlay", Source: "overlay", Target: "/", Lower: s.lower(v.Layers, v.Patch), Options: []string{"ro"}}
		// overlayfs mounts no single directory read-only.
		second := "empty"
		if len(v.Layers) == 0 {
			second = "void" // lower has given the other one
		}
		m.Lower = append(m.Lower, s.dir.Path(second))
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// Layer is what Commit has made.
type Layer struct {
	DiffID  v1.Hash
	Bytes   int64 // of its files
	Entries int64 // 0 = nothing has changed
}

// Commit turns what was written on the snapshot key of PrepareLayers into a layer, which is held until Release, and removes the snapshot. Nothing may
// run on it any more. No file of it gets a time after latest, unless that is zero. A layer without entries is
// none: nothing is held then.
func (s *Store) Commit(ctx context.Context, key string, latest time.Time) (Layer, error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return Layer{}, err
	}
	l, err := s.commit(ctx, dir, latest)
	if err != nil {
		return Layer{}, fmt.Errorf("cannot make a layer of %.12s: %w", key, s.dir.Explain(err))
	}
	if err := s.dir.Discard(dir); err != nil {
		return Layer{}, fmt.Errorf("cannot remove snapshot %.12s: %w", key, err)
	}
	return l, nil
}

func (s *Store) commit(ctx context.Context, dir string, latest time.Time) (Layer, error) {
	rec, err := readSnapshot(dir)
	if err != nil {
		return Layer{}, err
	}
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return Layer{}, err
	}
	defer busy.Close()
	upper := filepath.Join(dir, "upper")
	own, err := s.ownRoot(upper, rec.Layers)
	if err != nil {
		return Layer{}, err
	}
	diff, result, err := pack.Upper(ctx, upper, own, latest, s.below(rec))
	if err != nil {
		return Layer{}, err
	}
	l := Layer{DiffID: diff, Bytes: result.Bytes, Entries: result.Entries}
	if result.Entries == 0 {
		return l, nil
	}
	failpoint.Hit("image.commit.hashed")
	return l, s.layers.Adopt(upper, diff, result)
}
