package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/atomicfile"
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
					"cannot use image %s: it has nothing for %s; it is there for %s", name, platformName(want), orNone(platformList(list.Manifests))))
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

func orNone(s string) string {
	if s == "" {
		return "no platform that it names"
	}
	return s
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
	have := platformOf(img.config)
	if rank(want, have) < 0 {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot use image %s: it has nothing for %s; it is there for %s",
			name, platformName(want), platformName(have)))
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
			return fmt.Errorf("layer %s is encrypted, which is not supported", shortDigest(l.Digest))
		}
	}
	for _, d := range conf.RootFS.DiffIDs {
		if _, err := v1.NewHash(d.String()); err != nil {
			return fmt.Errorf("diff id %q: %w", d, err)
		}
	}
	return nil
}

func platformOf(c *v1.ConfigFile) v1.Platform {
	return v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

// keep writes the documents of the image to the content store.
func (s *Store) keep(img *resolved) error {
	docs := map[v1.Hash][]byte{img.id: img.rawConf}
	if img.manifest.raw != nil {
		docs[img.manifest.digest] = img.manifest.raw
	}
	if img.index != nil {
		docs[img.index.digest] = img.index.raw
	}
	for h, b := range docs {
		if err := s.writeBlob(h, b); err != nil {
			return diskError(s.root, err)
		}
	}
	return nil
}

func (s *Store) writeBlob(h v1.Hash, b []byte) error {
	path := s.blobPath(h)
	if info, err := os.Lstat(path); err == nil && info.Size() == int64(len(b)) {
		return nil
	}
	return atomicfile.Write(path, b, 0o600, atomicfile.Sync)
}

// readConfig returns the configuration of a stored image. It is verified: a file that a disk has damaged must not
// decide what runs as which user.
func (s *Store) readConfig(id v1.Hash) (*v1.ConfigFile, error) {
	s.mu.Lock()
	c := s.configs[id]
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	raw, err := os.ReadFile(s.blobPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is missing: pull or build it again", shortDigest(id)))
	}
	if err != nil {
		return nil, err
	}
	if err := verifyBytes(raw, id); err != nil {
		// As good as not there, so that it is pulled or built again and the other images can be listed.
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is damaged: %w; pull or build it again", shortDigest(id), err))
	}
	c, err = v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.configs[id] = c
	s.mu.Unlock()
	return c, nil
}
