package image

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/stackrun/stack/image/archive"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/internal/reference"
)

// Load imports the images of a tar stream, plain or compressed: what docker save writes, or an OCI layout. It reads r
// to the end of the archive. The names in the archive are given to its images, also when other images had them, as
// docker load does; the result has no others. Of an index the image for this host is taken. errdefs.ErrInvalidArgument says what is wrong with
// the archive.
func (s *Store) Load(ctx context.Context, r io.Reader, tell func(Progress)) ([]Info, error) {
	if tell == nil {
		tell = func(Progress) {}
	}
	report := progress.Limit(tell)
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return nil, err
	}
	defer busy.Close()
	tmp, err := s.dir.Scratch()
	if err != nil {
		return nil, err
	}
	defer tmp.Drop()

	a, err := archive.Read(ctx, r, tmp.Dir, func(n int64) { report(Progress{Phase: progress.Loading, Current: n}) })
	if err != nil {
		return nil, s.dir.Explain(err)
	}
	images, err := a.Images(ctx)
	if err != nil {
		return nil, err
	}
	var loaded []Info
	for _, img := range images {
		named := func(p Progress) {
			if p.Ref = img.Name(); p.Phase == progress.Downloading { // layers are read from the archive
				p.Phase = progress.Loading
			}
			report(p)
		}
		info, err := s.install(ctx, img.Image, img.Layers, img.Names, named)
		if err != nil {
			return loaded, fmt.Errorf("cannot load %s: %w", img.Name(), err)
		}
		named(Progress{Phase: progress.Done})
		// Of all names that it has, those that the archive gives it.
		info.Refs = slices.DeleteFunc(info.Refs, func(ref string) bool {
			return !slices.ContainsFunc(img.Names.Refs, func(full string) bool { return reference.Familiar(full) == ref })
		})
		loaded = append(loaded, info)
	}
	return loaded, nil
}
