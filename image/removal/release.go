package removal

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

// Release lets go of layers, and takes away those that no image and no snapshot has; while something is being pulled or loaded Prune does that later. What is not held = success.
func (s *Remover) Release(ctx context.Context, layers ...v1.Hash) error {
	err := s.layers.Release(layers...)
	if _, gone := s.collect(ctx); gone != nil && !errors.Is(gone, errdefs.ErrConflict) {
		err = errors.Join(err, gone)
	}
	return err
}
