package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
)

// MaxLayers is what overlayfs takes in one mount (OVL_MAX_STACK, fs/overlayfs/super.c), less one for a patch.
const MaxLayers = 499

// MaxConfig bounds an image's configuration, which is mostly its history.
const MaxConfig = 8 << 20

// Source are the ways to get manifests and blobs: a registry, or an archive.
type Source interface {
	Manifest(ctx context.Context, identifier string) (Document, error)
	Small(ctx context.Context, desc v1.Descriptor, limit int64) ([]byte, error)
}

// Image is one image of which everything but the layers is known and verified.
type Image struct {
	ID        v1.Hash
	Config    *v1.ConfigFile
	RawConfig []byte
	Manifest  Document
	Index     *Document // the index that the manifest was chosen from
	Layers    []v1.Descriptor
}

// Resolve follows identifier to the image for want, through indexes.
func Resolve(ctx context.Context, docs Source, name, identifier string, want v1.Platform) (*Image, error) {
	unusable := func(format string, args ...any) error {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use image %s: %w", name, fmt.Errorf(format, args...)))
	}
	img := new(Image)
	// An index may hold indexes; more than a few is somebody's joke.
	for range 4 {
		doc, err := docs.Manifest(ctx, identifier)
		if err != nil {
			return nil, err
		}
		kind := MediaType(doc)
		if kind.IsIndex() {
			var list v1.IndexManifest
			if err := json.Unmarshal(doc.Raw, &list); err != nil {
				return nil, unusable("its index is not valid: %v", err)
			}
			chosen, ok := choose(list.Manifests, want)
			if !ok {
				return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf(
					"cannot use image %s: it has nothing for %s; it is there for %s", name, platform.Name(want), orNone(platformList(list.Manifests))))
			}
			if img.Index == nil {
				img.Index = &doc
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
		img.Manifest = doc
		return img, img.fill(ctx, docs, name, want, unusable)
	}
	return nil, unusable("indexes within indexes within indexes")
}

// MediaType believes the document before the server: an index served as a manifest would be read as an image
// without layers (CVE-2021-41190).
func MediaType(doc Document) types.MediaType {
	var said struct {
		MediaType types.MediaType   `json:"mediaType"`
		Schema    int               `json:"schemaVersion"`
		Manifests []json.RawMessage `json:"manifests"`
		Config    json.RawMessage   `json:"config"`
	}
	if json.Unmarshal(doc.Raw, &said) != nil {
		return doc.Media
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
	return doc.Media
}

func (img *Image) fill(ctx context.Context, docs Source, name string, want v1.Platform, unusable func(string, ...any) error) error {
	m, err := v1.ParseManifest(bytes.NewReader(img.Manifest.Raw))
	if err != nil {
		return unusable("its manifest is not valid: %v", err)
	}
	if !m.Config.MediaType.IsConfig() {
		return unusable("it is a %q and not a container image", m.Config.MediaType)
	}
	img.RawConfig, err = docs.Small(ctx, m.Config, MaxConfig)
	if err != nil {
		return err
	}
	img.ID = m.Config.Digest
	img.Layers = m.Layers
	if err := img.ParseConfig(); err != nil {
		return unusable("%w", err)
	}
	have := platform.Of(img.Config)
	if platform.Rank(want, have) < 0 {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot use image %s: it has nothing for %s; it is there for %s",
			name, platform.Name(want), platform.Name(have)))
	}
	return nil
}

// ParseConfig reads the configuration and holds the manifest's layers against it.
func (img *Image) ParseConfig() error {
	conf, err := v1.ParseConfigFile(bytes.NewReader(img.RawConfig))
	if err != nil {
		return fmt.Errorf("its configuration is not valid: %w", err)
	}
	img.Config = conf
	switch n := len(conf.RootFS.DiffIDs); {
	case n != len(img.Layers):
		return fmt.Errorf("it has %d layers and its configuration names %d", len(img.Layers), n)
	case n > MaxLayers:
		return fmt.Errorf("it has %d layers, overlayfs takes %d", n, MaxLayers)
	}
	for _, l := range img.Layers {
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

// Compressed says whether any layer is, or there is none.
func (img *Image) Compressed() bool {
	return len(img.Layers) == 0 || slices.ContainsFunc(img.Layers, func(l v1.Descriptor) bool { return Compressed(l.MediaType) })
}

// Compressed says whether a layer of this type is compressed: save writes ones that are not, for archives alone.
func Compressed(t types.MediaType) bool {
	return t != types.OCIUncompressedLayer && t != types.DockerUncompressedLayer
}

// OCILayer is the type that t has in an OCI manifest.
func OCILayer(t types.MediaType) types.MediaType {
	if t == types.DockerLayer {
		return types.OCILayer
	}
	return t
}
