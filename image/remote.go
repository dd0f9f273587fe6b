package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// RemoteManifest is what a registry has under a name.
type RemoteManifest struct {
	Digest    v1.Hash
	MediaType types.MediaType
	Size      int64
	Platforms []v1.Platform
}

// Manifest asks the registry, or a mirror of it, what ref names. It fetches no layer, and counts there as a pull. Errors are those of Pull.
func (s *Store) Manifest(ctx context.Context, ref string, auth *Auth) (RemoteManifest, error) {
	r, err := reference.Parse(ref)
	if err != nil {
		return RemoteManifest{}, err
	}
	src := s.source(r, auth, func(string) {})
	doc, err := src.manifest(ctx, r.Identifier())
	if err != nil {
		return RemoteManifest{}, err
	}
	m := RemoteManifest{Digest: doc.digest, MediaType: mediaType(doc), Size: int64(len(doc.raw))}
	if !m.MediaType.IsIndex() {
		img, err := resolve(ctx, &known{src, doc}, r.Familiar(), doc.digest.String(), platform.Host())
		if errors.Is(err, errdefs.ErrNotFound) && img != nil && img.config != nil {
			err = nil // for another platform, which is what was asked
		}
		if err != nil {
			return m, err
		}
		m.Platforms = []v1.Platform{platform.Of(img.config)}
		return m, nil
	}
	var list v1.IndexManifest
	if err := json.Unmarshal(doc.raw, &list); err != nil {
		return m, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use image %s: its index is not valid: %w", r.Familiar(), err))
	}
	for _, d := range list.Manifests {
		if d.Platform != nil && !attestation(d) {
			m.Platforms = append(m.Platforms, *d.Platform)
		}
	}
	return m, nil
}

// known is a source one of whose manifests has been fetched already.
type known struct {
	*source
	doc document
}

func (k *known) manifest(ctx context.Context, identifier string) (document, error) {
	if identifier == k.doc.digest.String() {
		return k.doc, nil
	}
	return k.source.manifest(ctx, identifier)
}

// CheckAuth asks the registry host whether it knows auth. ErrDenied when it does not, errdefs.ErrUnavailable when it does not answer.
func (s *Store) CheckAuth(ctx context.Context, host string, auth Auth) error {
	if host == "" || host == "https://index.docker.io/v1/" {
		host = reference.DefaultHost
	}
	r, err := reference.Parse(bareHost(host) + "/x")
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot log in to %q: it is not a registry host", host))
	}
	list := s.endpoints(r.Host)
	ep := list[len(list)-1]
	if err := s.ping(ctx, ep, auth); err != nil {
		return errdefs.With(kindOf(err), fmt.Errorf("cannot log in to %s: %s %s%w", r.Host, ep.describe(), describe(err), silent{err}))
	}
	return nil
}

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
