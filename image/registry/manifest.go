package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/credentials"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Manifest is what a registry has under a name.
type Manifest struct {
	Digest    v1.Hash
	MediaType types.MediaType
	Size      int64
	Platforms []v1.Platform
}

// Manifest asks the registry, or a mirror of it, what ref names. It fetches no layer, and counts there as a pull. Errors are those of Pull.
func (c *Client) Manifest(ctx context.Context, ref string, auth *credentials.Auth) (Manifest, error) {
	r, err := reference.Parse(ref)
	if err != nil {
		return Manifest{}, err
	}
	src := c.Source(r, auth, func(string) {})
	doc, err := src.Manifest(ctx, r.Identifier())
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Digest: doc.Digest, MediaType: manifest.MediaType(doc), Size: int64(len(doc.Raw))}
	if !m.MediaType.IsIndex() {
		img, err := manifest.Resolve(ctx, &known{src, doc}, r.Familiar(), doc.Digest.String(), platform.Host())
		if errors.Is(err, errdefs.ErrNotFound) && img != nil && img.Config != nil {
			err = nil // for another platform, which is what was asked
		}
		if err != nil {
			return m, err
		}
		m.Platforms = []v1.Platform{platform.Of(img.Config)}
		return m, nil
	}
	var list v1.IndexManifest
	if err := json.Unmarshal(doc.Raw, &list); err != nil {
		return m, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use image %s: its index is not valid: %w", r.Familiar(), err))
	}
	for _, d := range list.Manifests {
		if d.Platform != nil && !manifest.Attestation(d) {
			m.Platforms = append(m.Platforms, *d.Platform)
		}
	}
	return m, nil
}

// known is a source one of whose manifests has been fetched already.
type known struct {
	*Source
	doc manifest.Document
}

func (k *known) Manifest(ctx context.Context, identifier string) (manifest.Document, error) {
	if identifier == k.doc.Digest.String() {
		return k.doc, nil
	}
	return k.Source.Manifest(ctx, identifier)
}

// CheckAuth asks the registry host whether it knows auth. ErrDenied when it does not, errdefs.ErrUnavailable when it does not answer.
func (c *Client) CheckAuth(ctx context.Context, host string, auth credentials.Auth) error {
	if host == "" || host == "https://index.docker.io/v1/" {
		host = reference.DefaultHost
	}
	r, err := reference.Parse(credentials.ServerHost(host) + "/x")
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot log in to %q: it is not a registry host", host))
	}
	list := c.endpoints(r.Host)
	ep := list[len(list)-1]
	if err := c.ping(ctx, ep, auth); err != nil {
		return errdefs.With(Kind(err), fmt.Errorf("cannot log in to %s: %s %s%w", r.Host, ep.describe(), Describe(err), silent{err}))
	}
	return nil
}
