package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
)

// Keep writes the documents of the image to the content store.
func (c *Catalog) Keep(img *manifest.Image) error {
	docs := map[v1.Hash][]byte{img.ID: img.RawConfig}
	if img.Manifest.Raw != nil {
		docs[img.Manifest.Digest] = img.Manifest.Raw
	}
	if img.Index != nil {
		docs[img.Index.Digest] = img.Index.Raw
	}
	for h, b := range docs {
		if err := c.WriteBlob(h, b); err != nil {
			return err
		}
	}
	return nil
}

// WriteBlob keeps b, which has the digest h.
func (c *Catalog) WriteBlob(h v1.Hash, b []byte) error {
	path := c.BlobPath(h)
	if info, err := os.Lstat(path); err == nil && info.Size() == int64(len(b)) {
		return nil
	}
	return c.dir.Explain(atomicfile.Write(path, b, 0o600, atomicfile.Sync))
}

// KeepConfig writes the configuration of an image that is made here. It is not synced, as the layers: what a power cut takes of it is found out by its digest, and built again.
func (c *Catalog) KeepConfig(id v1.Hash, raw []byte) error {
	if have, err := os.ReadFile(c.BlobPath(id)); err == nil && bytes.Equal(have, raw) {
		return nil
	}
	return c.dir.Explain(atomicfile.Write(c.BlobPath(id), raw, 0o600, atomicfile.NoSync))
}

// RawConfig is the configuration of the image id as it is written, verified.
func (c *Catalog) RawConfig(id v1.Hash) ([]byte, error) {
	raw, err := os.ReadFile(c.BlobPath(id))
	if err == nil {
		err = content.Verify(raw, id)
	}
	if err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	return raw, nil
}

// Config returns the configuration of a stored image. It is verified: a file that a disk has damaged must not
// decide what runs as which user.
func (c *Catalog) Config(id v1.Hash) (*v1.ConfigFile, error) {
	c.mu.Lock()
	conf := c.configs[id]
	c.mu.Unlock()
	if conf != nil {
		return conf, nil
	}
	raw, err := os.ReadFile(c.BlobPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is missing: pull or build it again", content.Short(id)))
	}
	if err != nil {
		return nil, err
	}
	if err := content.Verify(raw, id); err != nil {
		// As good as not there, so that it is pulled or built again and the other images can be listed.
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is damaged: %w; pull or build it again", content.Short(id), err))
	}
	conf, err = v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.configs[id] = conf
	c.mu.Unlock()
	return conf, nil
}

// ManifestOf is the manifest that rec was pulled or pushed with; nil when there is none that is whole and of compressed layers.
func (c *Catalog) ManifestOf(rec *Record) (manifest.Document, *v1.Manifest) {
	if rec.Manifest == (v1.Hash{}) {
		return manifest.Document{}, nil
	}
	raw, err := os.ReadFile(c.BlobPath(rec.Manifest))
	if err != nil || content.Verify(raw, rec.Manifest) != nil {
		return manifest.Document{}, nil
	}
	m := new(v1.Manifest)
	if json.Unmarshal(raw, m) != nil || len(m.Layers) != len(rec.Layers) || m.Config.Digest != rec.ID {
		return manifest.Document{}, nil
	}
	doc := manifest.Document{Raw: raw, Digest: rec.Manifest}
	if doc.Media = manifest.MediaType(doc); doc.Media == "" {
		doc.Media = m.MediaType
	}
	return doc, m
}

// BlobPaths are those of all documents that are there.
func (c *Catalog) BlobPaths() ([]string, error) { return filepath.Glob(c.dir.Path("blobs", "*", "*")) }

// BlobPath is where the document h is, if it is there.
func (c *Catalog) BlobPath(h v1.Hash) string { return c.dir.Path("blobs", h.Algorithm, h.Hex) }
