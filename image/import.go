package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
)

// Import makes an image of one layer out of a tar stream, plain or compressed, of a root file system: what docker export writes. The image is for p (the zero value: this
// host's), has the configuration that change makes, comment in its history, and the names refs, which leave the images that had them. errdefs.ErrInvalidArgument
// says what is wrong with the stream.
func (s *Store) Import(ctx context.Context, r io.Reader, p v1.Platform, change func(*v1.Config) error, comment string, refs ...string) (Info, error) {
	if _, err := catalog.Tags(refs); err != nil {
		return Info{}, err
	}
	busy, err := s.dir.KeepLayers() // keeps the layer until the image is recorded
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	tmp, err := s.dir.Scratch()
	if err != nil {
		return Info{}, err
	}
	defer tmp.Drop()
	file := filepath.Join(tmp.Dir, "layer.tar")
	diff, err := s.layers.Spool(ctx, r, file)
	if err != nil {
		return Info{}, s.dir.Explain(err)
	}
	conf := &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, Created: v1.Time{Time: time.Now().UTC()}, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}}}
	if p.Architecture == "" {
		conf.OS, conf.Architecture = platform.Host().OS, platform.Host().Architecture
	}
	conf.History = []v1.History{{Created: conf.Created, Comment: comment}}
	if err := change(&conf.Config); err != nil {
		return Info{}, err
	}
	if err := s.layers.NoteUnsynced(diff); err != nil {
		return Info{}, err
	}
	s.layers.Sync()
	if _, err := s.layers.Ensure(ctx, layer.Source{Diff: diff, Open: func(context.Context) (io.ReadCloser, error) { return os.Open(file) }}, func(Progress) {}); err != nil {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot import it: %w", err))
	}
	return s.Record(ctx, conf, refs...)
}
