package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackrun/stack/image/content"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"github.com/stackrun/stack/image/recipe"
	"github.com/stackrun/stack/internal/errdefs"
)

// recipeName is, beside a layer's fs, how its stream was put together. A layer that was made here needs none: the stream is what diff.go writes
// of its files.
const recipeName = "recipe"

// writeLayer writes the tar stream of the layer diff to w, and holds it to its digest: w is used for nothing before that is so. errdefs.ErrNotFound when the
// layer is not here, errdefs.ErrNotSupported when its stream cannot be put together again.
func (s *Store) writeLayer(ctx context.Context, diff v1.Hash, w io.Writer) error {
	rec, err := s.readLayer(diff)
	if errors.Is(err, fs.ErrNotExist) {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("layer %s is not here: pull or build its image again", content.Short(diff)))
	}
	if err != nil {
		return err
	}
	sum, err := v1.Hasher(diff.Algorithm)
	if err != nil {
		return err
	}
	out := io.MultiWriter(sum, w)
	file, err := os.Open(filepath.Join(s.layerDir(diff), recipeName))
	switch {
	case err == nil:
		defer file.Close()
		err = recipe.Rebuild(ctx, out, file, s.layerFS(diff))
	case errors.Is(err, fs.ErrNotExist):
		err = restream(ctx, s.layerFS(diff), rec.Root, out)
	}
	if err == nil {
		if got := hex.EncodeToString(sum.Sum(nil)); got != diff.Hex {
			err = recipe.ErrDiffers
		}
	}
	if errors.Is(err, recipe.ErrDiffers) {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("layer %s cannot be given on: %w; its stream names a file twice, or it was unpacked by a stack that did not keep how: remove the images that have it, and pull or build them again",
			content.Short(diff), err))
	}
	return err
}

// layerSize is the length of the layer's tar stream, bytes. What is not known is found out by writing it to nobody.
func (s *Store) layerSize(ctx context.Context, diff v1.Hash) (int64, error) {
	rec, err := s.readLayer(diff)
	if err == nil && rec.Stream > 0 {
		return rec.Stream, nil
	}
	var n counter
	err = s.writeLayer(ctx, diff, &n)
	return int64(n), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// packer compresses a layer's stream for a registry: gzip, which every client reads, at its usual level and without a name or a time, so that one layer is
// one blob for one version of this program.
type packer struct {
	zip *gzip.Writer
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	n counter
}

func newPacker(w io.Writer) *packer {
	p := &packer{sum: sha256.New()}
	p.zip, _ = gzip.NewWriterLevel(io.MultiWriter(w, p.sum, &p.n), gzip.DefaultCompression) // an error would be for the level
	return p
}

func (p *packer) Write(b []byte) (int, error) { return p.zip.Write(b) }

// finish gives the digest and the size of what was written.
func (p *packer) finish() (v1.Hash, int64, error) {
	err := p.zip.Close()
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(p.sum.Sum(nil))}, int64(p.n), err
}
