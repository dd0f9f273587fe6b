package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
)

// keep writes the documents of the image to the content store.
func (s *Store) keep(img *manifest.Image) error {
	docs := map[v1.Hash][]byte{img.ID: img.RawConfig}
	if img.Manifest.Raw != nil {
		docs[img.Manifest.Digest] = img.Manifest.Raw
	}
	if img.Index != nil {
		docs[img.Index.Digest] = img.Index.Raw
	}
	for h, b := range docs {
		if err := s.writeBlob(h, b); err != nil {
			return s.dir.Explain(err)
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
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is missing: pull or build it again", content.Short(id)))
	}
	if err != nil {
		return nil, err
	}
	if err := content.Verify(raw, id); err != nil {
		// As good as not there, so that it is pulled or built again and the other images can be listed.
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("configuration of image %s is damaged: %w; pull or build it again", content.Short(id), err))
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
