package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/progress"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/unpack"
)

// Import makes an image of one layer out of a tar stream, plain or compressed, of a root file system: what docker export writes. The image is for p (the zero value: this
// host's), has the configuration that change makes, comment in its history, and the names refs, which leave the images that had them. errdefs.ErrInvalidArgument
// says what is wrong with the stream.
func (s *Store) Import(ctx context.Context, r io.Reader, p v1.Platform, change func(*v1.Config) error, comment string, refs ...string) (Info, error) {
	if _, err := tags(refs); err != nil {
		return Info{}, err
	}
	busy, err := flock(s.path("pulls"), unix.LOCK_SH) // keeps the layer until the image is recorded
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	tmp, err := s.scratch()
	if err != nil {
		return Info{}, err
	}
	defer tmp.drop()
	file := filepath.Join(tmp.dir, "layer.tar")
	diff, err := s.spoolLayer(ctx, r, file)
	if err != nil {
		return Info{}, diskError(s.root, err)
	}
	conf := &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, Created: v1.Time{Time: time.Now().UTC()}, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}}}
	if p.Architecture == "" {
		conf.OS, conf.Architecture = platform.Host().OS, platform.Host().Architecture
	}
	conf.History = []v1.History{{Created: conf.Created, Comment: comment}}
	if err := change(&conf.Config); err != nil {
		return Info{}, err
	}
	if err := s.noteUnsynced(diff); err != nil {
		return Info{}, err
	}
	s.Sync()
	if _, err := s.ensureLayer(ctx, layerSource{diff: diff, open: func(context.Context) (io.ReadCloser, error) { return os.Open(file) }}, func(progress.Report) {}); err != nil {
		return Info{}, invalidArchive("cannot import it: %w", err)
	}
	return s.Record(ctx, conf, refs...)
}

// spoolLayer writes the tar stream that r has to file, in the bounds of a layer, and says its digest.
func (s *Store) spoolLayer(ctx context.Context, r io.Reader, file string) (v1.Hash, error) {
	plain, err := content.Decompress(r)
	if err != nil {
		return v1.Hash{}, invalidArchive("cannot import it: it is neither tar nor compressed tar: %w", err)
	}
	defer plain.Close()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return v1.Hash{}, err
	}
	defer f.Close()
	limit := s.limits.Bytes
	if limit == 0 {
		limit = unpack.DefaultBytes
	}
	limit += limit / tarOverhead
	sum, buf := sha256.New(), make([]byte, 256<<10)
	for n := int64(0); ; {
		if ctx.Err() != nil {
			return v1.Hash{}, context.Cause(ctx)
		}
		k, err := plain.Read(buf)
		if n += int64(k); n > limit {
			return v1.Hash{}, invalidArchive("cannot import it: %w", fmt.Errorf("%w of %s", unpack.ErrLimit, content.SizeText(limit)))
		}
		sum.Write(buf[:k])
		if _, err := f.Write(buf[:k]); err != nil {
			return v1.Hash{}, err
		}
		if err == io.EOF {
			return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, f.Close()
		}
		if err != nil {
			return v1.Hash{}, invalidArchive("cannot import it: %w", err)
		}
	}
}
