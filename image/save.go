package image

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/archive"
	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Save writes local images as one archive that Load, docker load and readers of OCI layouts take: the layout with uncompressed layers and, beside it, the
// manifest.json of docker save. refs are names, each with the tag that it says or, without one, all tags of its repository here, or ids, which the archive gives no name. Nothing is
// written when one of them is not here (errdefs.ErrNotFound); an error after that leaves an archive that is cut off.
func (s *Store) Save(ctx context.Context, w io.Writer, p v1.Platform, refs ...string) error {
	busy, err := s.dir.KeepLayers() // keeps Prune from the layers
	if err != nil {
		return err
	}
	defer busy.Close()
	images, err := s.toSave(ctx, p, refs)
	if err != nil {
		return err
	}
	a := archive.NewWriter(w, s.catalog, s.layers)
	for _, img := range images {
		if err := a.Add(ctx, img.rec, img.refs); err != nil {
			return fmt.Errorf("cannot save %s: %w", img.rec.Name(), err)
		}
	}
	return a.Close()
}

// saving is an image and the names that the archive gives it, in full form.
type saving struct {
	rec  *catalog.Record
	refs []string
}

func (s *Store) toSave(ctx context.Context, p v1.Platform, refs []string) ([]*saving, error) {
	x, err := s.catalog.Index()
	if err != nil {
		return nil, err
	}
	var images []*saving
	for _, ref := range refs {
		names := []string{ref}
		r, parseErr := reference.Parse(ref)
		_, explicit, _ := catalog.IDPrefix(ref)
		if parseErr == nil && !explicit && !r.HasDigest() && !tagged(ref) {
			if all := x.TagsOf(r); len(all) > 0 {
				names = all
			}
		}
		for _, name := range names {
			info, err := s.Resolve(ctx, name, p)
			if err != nil {
				return nil, fmt.Errorf("cannot save %s: %w", ref, err)
			}
			rec := x.ByID(info.ID)
			if rec == nil {
				return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot save %s: it has just been removed", ref))
			}
			i := slices.IndexFunc(images, func(img *saving) bool { return img.rec == rec })
			if i < 0 {
				i = len(images)
				images = append(images, &saving{rec: rec})
			}
			if n, err := reference.Parse(name); err == nil && slices.Contains(rec.Refs, n.Tagged()) && !slices.Contains(images[i].refs, n.Tagged()) {
				images[i].refs = append(images[i].refs, n.Tagged())
			}
		}
	}
	return images, nil
}

// tagged says whether ref is written with a tag.
func tagged(ref string) bool {
	return strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":")
}
