package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// ConfigFile is the whole configuration of a local image, the caller's own copy. errdefs.ErrNotFound when it is not here.
func (c *Catalog) ConfigFile(id v1.Hash) (*v1.ConfigFile, error) {
	conf, err := c.Config(id)
	if err != nil {
		return nil, err
	}
	return conf.DeepCopy(), nil
}

// Tag gives the image id further names, which leave the images that had them. Nothing is written when it has them all.
func (c *Catalog) Tag(id v1.Hash, refs ...string) (Info, error) {
	n, err := Tags(refs)
	if err != nil {
		return Info{}, err
	}
	missing := errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot name image %s: it is not here", content.Short(id)))
	x, err := c.Index()
	if err != nil {
		return Info{}, err
	}
	rec := x.ByID(id)
	if rec == nil {
		return Info{}, missing
	}
	if err := c.Whole(rec); err != nil {
		return Info{}, err
	}
	if !slices.ContainsFunc(n.Refs, func(ref string) bool { return !slices.Contains(rec.Refs, ref) }) {
		return c.info(rec)
	}
	err = c.Update(func(x *Index) error {
		have := x.ByID(id)
		if have == nil {
			return missing
		}
		own := *have
		rec = &own
		x.put(rec, n)
		return nil
	})
	if err != nil {
		return Info{}, err
	}
	return c.info(rec)
}

// Tags are refs in full form. A digest names what a registry has, and cannot be given.
func Tags(refs []string) (Names, error) {
	var n Names
	for _, s := range refs {
		r, err := reference.Parse(s)
		if err != nil {
			return n, err
		}
		if r.HasDigest() {
			return n, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot name an image %s: a digest is not given, it is found out; leave it out", s))
		}
		n.Refs = append(n.Refs, r.Tagged())
	}
	return n, nil
}

// LayerInfo is one layer of a local image.
type LayerInfo struct {
	DiffID v1.Hash
	Bytes  int64 // of its files
}

// Layers are those of the local image id, lowest first. errdefs.ErrNotFound when it is not here, or not whole.
func (c *Catalog) Layers(id v1.Hash) ([]LayerInfo, error) {
	x, err := c.Index()
	if err != nil {
		return nil, err
	}
	rec := x.ByID(id)
	if rec == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s is not here", content.Short(id)))
	}
	list := make([]LayerInfo, len(rec.Layers))
	for i, d := range rec.Layers {
		l, err := c.layers.Read(d)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, c.Whole(rec)
		}
		if err != nil {
			return nil, err
		}
		list[i] = LayerInfo{DiffID: d, Bytes: l.Bytes}
	}
	return list, nil
}
