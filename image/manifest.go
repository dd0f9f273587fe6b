package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/errdefs"
)

// maxLayers is what overlayfs takes in one mount (OVL_MAX_STACK, fs/overlayfs/super.c), less one for a patch.
const maxLayers = 499

// maxConfig bounds an image's configuration, which is mostly its history.
const maxConfig = 8 << 20

// documents are the ways to get manifests and blobs: a registry, or an archive.
type documents interface {
	manifest(ctx context.Context, identifier string) (document, error)
	small(ctx context.Context, desc v1.Descriptor, limit int64) ([]byte, error)
}

// resolved is one image of which everything but the layers is known and verified.
type resolved struct {
	id       v1.Hash
	config   *v1.ConfigFile
	rawConf  []byte
	manifest document
	index    *document // the index that the manifest was chosen from
	layers   []v1.Descriptor
}

// resolve follows identifier to the image for want, through indexes.
func resolve(ctx context.Context, docs documents, name, identifier string, want v1.Platform) (*resolved, error) {
	unusable := func(format string, args ...any) error {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use image %s: %w", name, fmt.Errorf(format, args...)))
	}
	img := new(resolved)
	// An index may hold indexes; more than a few is somebody's joke.
	for range 4 {
		doc, err := docs.manifest(ctx, identifier)
		if err != nil {
			return nil, err
		}
		kind := mediaType(doc)
		if kind.IsIndex() {
			var list v1.IndexManifest
			if err := json.Unmarshal(doc.raw, &list); err != nil {
				return nil, unusable("its index is not valid: %v", err)
			}
			chosen, ok := choose(list.Manifests, want)
			if !ok {
				return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf(
					"cannot use image %s: it has nothing for %s; it is there for %s", name, platform.Name(want), orNone(platformList(list.Manifests))))
			}
			if img.index == nil {
				img.index = &doc
			}
			identifier = chosen.Digest.String()
			continue
		}
		switch kind {
		case types.OCIManifestSchema1, types.DockerManifestSchema2:
		case types.DockerManifestSchema1, types.DockerManifestSchema1Signed:
			return nil, unusable("it is in Docker's schema 1 of before 2017, which is not supported: push it again with a current client")
		default:
			return nil, unusable("what is there is a %q and not an image", kind)
		}
		img.manifest = doc
		return img, img.fill(ctx, docs, name, want, unusable)
	}
	return nil, unusable("indexes within indexes within indexes")
}

// mediaType believes the document before the server: an index served as a manifest would be read as an image
// without layers (CVE-2021-41190).
func mediaType(doc document) types.MediaType {
	var said struct {
		MediaType types.MediaType   `json:"mediaType"`
		Schema    int               `json:"schemaVersion"`
		Manifests []json.RawMessage `json:"manifests"`
		Config    json.RawMessage   `json:"config"`
	}
	if json.Unmarshal(doc.raw, &said) != nil {
		return doc.media
	}
	switch {
	case said.Schema == 1:
		return types.DockerManifestSchema1
	case said.Manifests != nil && said.Config != nil:
		return "manifest that is an index at the same time"
	case said.MediaType != "":
		return said.MediaType
	case said.Manifests != nil:
		return types.OCIImageIndex
	case said.Config != nil:
		return types.OCIManifestSchema1
	}
	return doc.media
}

func (img *resolved) fill(ctx context.Context, docs documents, name string, want v1.Platform, unusable func(string, ...any) error) error {
	m, err := v1.ParseManifest(bytes.NewReader(img.manifest.raw))
	if err != nil {
		return unusable("its manifest is not valid: %v", err)
	}
	if !m.Config.MediaType.IsConfig() {
		return unusable("it is a %q and not a container image", m.Config.MediaType)
	}
	img.rawConf, err = docs.small(ctx, m.Config, maxConfig)
	if err != nil {
		return err
	}
	img.id = m.Config.Digest
	img.layers = m.Layers
	if err := img.parseConfig(); err != nil {
		return unusable("%w", err)
	}
	have := platform.Of(img.config)
	if platform.Rank(want, have) < 0 {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot use image %s: it has nothing for %s; it is there for %s",
			name, platform.Name(want), platform.Name(have)))
	}
	return nil
}

// parseConfig reads the configuration and holds the manifest's layers against it.
func (img *resolved) parseConfig() error {
	conf, err := v1.ParseConfigFile(bytes.NewReader(img.rawConf))
	if err != nil {
		return fmt.Errorf("its configuration is not valid: %w", err)
	}
	img.config = conf
	switch n := len(conf.RootFS.DiffIDs); {
	case n != len(img.layers):
		return fmt.Errorf("it has %d layers and its configuration names %d", len(img.layers), n)
	case n > maxLayers:
		return fmt.Errorf("it has %d layers, overlayfs takes %d", n, maxLayers)
	}
	for _, l := range img.layers {
		if strings.HasSuffix(string(l.MediaType), "+encrypted") {
			return fmt.Errorf("layer %s is encrypted, which is not supported", content.Short(l.Digest))
		}
	}
	for _, d := range conf.RootFS.DiffIDs {
		if _, err := v1.NewHash(d.String()); err != nil {
			return fmt.Errorf("diff id %q: %w", d, err)
		}
	}
	return nil
}
