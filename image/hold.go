package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

// A layer that a build has made is held before it is there, by an empty file below images/held, and stays until it is released, whatever images
// there are. So a build that is cut off loses no step, and what a cache leads to is not taken away under it. Whoever holds layers knows them from Held.

func (s *Store) holdPath(diff v1.Hash) string { return s.path("held", diff.Algorithm+"-"+diff.Hex) }

func (s *Store) hold(diff v1.Hash) error {
	f, err := os.OpenFile(s.holdPath(diff), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError(s.root, err)
	}
	return f.Close()
}

// Held lists the layers that are held and there.
func (s *Store) Held(ctx context.Context) ([]v1.Hash, error) {
	entries, err := os.ReadDir(s.path("held"))
	if err != nil {
		return nil, err
	}
	var held []v1.Hash
	for _, e := range entries {
		algorithm, hex, _ := strings.Cut(e.Name(), "-")
		held = append(held, v1.Hash{Algorithm: algorithm, Hex: hex})
	}
	return held, nil
}

// Release lets go of layers, and takes away those that no image and no snapshot has; while something is being pulled or loaded Prune does that later. What is not held = success.
func (s *Store) Release(ctx context.Context, layers ...v1.Hash) error {
	var errs []error
	for _, d := range layers {
		if err := os.Remove(s.holdPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if _, err := s.collect(ctx); err != nil && !errors.Is(err, errdefs.ErrConflict) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// HasLayers says whether all of layers are there.
func (s *Store) HasLayers(ctx context.Context, layers []v1.Hash) bool {
	for _, d := range layers {
		if _, err := os.Lstat(s.layerDir(d)); err != nil {
			return false
		}
	}
	return true
}
