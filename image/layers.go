package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// LayerInfo is one layer of a local image.
type LayerInfo struct {
	DiffID v1.Hash
	Bytes  int64 // of its files
}

// Layers are those of the local image id, lowest first. errdefs.ErrNotFound when it is not here, or not whole.
func (s *Store) Layers(ctx context.Context, id v1.Hash) ([]LayerInfo, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	rec := x.byID(id)
	if rec == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s is not here", content.Short(id)))
	}
	list := make([]LayerInfo, len(rec.Layers))
	for i, d := range rec.Layers {
		l, err := s.readLayer(d)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, s.whole(rec)
		}
		if err != nil {
			return nil, err
		}
		list[i] = LayerInfo{DiffID: d, Bytes: l.Bytes}
	}
	return list, nil
}
