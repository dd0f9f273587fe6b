package layer

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

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/pack"
	"github.com/stackrun/stack/image/recipe"
	"github.com/stackrun/stack/internal/errdefs"
)

// recipeName is, beside a layer's fs, how its stream was put together. A layer that was made here needs none: the stream is what package pack writes
// of its files.
const recipeName = "recipe"

// Write writes the tar stream of the layer diff to w, and holds it to its digest: w is used for nothing before that is so. errdefs.ErrNotFound when the
// layer is not here, errdefs.ErrNotSupported when its stream cannot be put together again.
func (l *Store) Write(ctx context.Context, diff v1.Hash, w io.Writer) error {
	rec, err := l.Read(diff)
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
	file, err := os.Open(filepath.Join(l.Dir(diff), recipeName))
	switch {
	case err == nil:
		defer file.Close()
		err = recipe.Rebuild(ctx, out, file, l.FS(diff))
	case errors.Is(err, fs.ErrNotExist):
		err = pack.Layer(ctx, l.FS(diff), rec.Root, out)
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

// Size is the length of the layer's tar stream, bytes. What is not known is found out by writing it to nobody.
func (l *Store) Size(ctx context.Context, diff v1.Hash) (int64, error) {
	rec, err := l.Read(diff)
	if err == nil && rec.Stream > 0 {
		return rec.Stream, nil
	}
	var n counter
	err = l.Write(ctx, diff, &n)
	return int64(n), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Compress writes the layer diff to w as registries take it: gzip, which every client reads, at its usual level and without a name or a time, so that one layer is one blob for one
// version of this program. report is told how many bytes of the tar stream were written. It returns the digest and the size of what w got. Errors are those of write.
func (l *Store) Compress(ctx context.Context, diff v1.Hash, w io.Writer, report func(n int64)) (v1.Hash, int64, error) {
	sum, size, at := sha256.New(), counter(0), counter(0)
	zip, err := gzip.NewWriterLevel(io.MultiWriter(w, sum, &size), gzip.DefaultCompression)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	err = l.Write(ctx, diff, writerFunc(func(b []byte) (int, error) {
		n, err := zip.Write(b)
		at += counter(n)
		report(int64(at))
		return n, err
	}))
	if err != nil {
		return v1.Hash{}, 0, err
	}
	err = zip.Close()
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, int64(size), err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
