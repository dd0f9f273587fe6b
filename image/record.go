package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// ConfigFile is the whole configuration of a local image, the caller's own copy. errdefs.ErrNotFound when it is not here.
func (s *Store) ConfigFile(ctx context.Context, id v1.Hash) (*v1.ConfigFile, error) {
	c, err := s.readConfig(id)
	if err != nil {
		return nil, err
	}
	return c.DeepCopy(), nil
}

// ID is what the image that conf describes is known by when it is recorded.
func ID(conf *v1.ConfigFile) (v1.Hash, error) {
	raw, err := json.Marshal(conf)
	return content.Digest(raw), err
}

// Record makes the image that conf describes, whose layers are here, and gives it names, which leave the images that had them. The image has no
// manifest, as one of docker-archive: what is in a registry is compressed, and nobody has done that.
func (s *Store) Record(ctx context.Context, conf *v1.ConfigFile, refs ...string) (Info, error) {
	n, err := tags(refs)
	if err != nil {
		return Info{}, err
	}
	raw, err := json.Marshal(conf)
	if err != nil {
		return Info{}, err
	}
	if len(raw) > manifest.MaxConfig {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot record an image with a configuration of %s: at most %s are read", content.SizeText(int64(len(raw))), content.SizeText(manifest.MaxConfig)))
	}
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	rec := &record{
		ID: content.Digest(raw), Platform: platform.Of(conf), Layers: conf.RootFS.DiffIDs,
		Created: conf.Created.Time, PulledAt: now(),
	}
	seen := make(map[v1.Hash]bool)
	for _, d := range rec.Layers {
		l, err := s.layers.Read(d)
		if err != nil {
			return Info{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot record an image: its layer %s is not here any more", content.Short(d)))
		}
		if !seen[d] {
			rec.Size += l.Bytes
		}
		seen[d] = true
	}
	if rec.Patch, err = s.patches.Ensure(ctx, rec.Layers); err != nil {
		return Info{}, s.dir.Explain(err)
	}
	// Not synced, as the layers: what a power cut takes of it is found out by its digest, and built again.
	if have, err := os.ReadFile(s.blobPath(rec.ID)); err != nil || !bytes.Equal(have, raw) {
		if err := atomicfile.Write(s.blobPath(rec.ID), raw, 0o600, atomicfile.NoSync); err != nil {
			return Info{}, s.dir.Explain(err)
		}
	}
	if err := s.update(func(x *index) error { x.put(rec, n); return nil }); err != nil {
		return Info{}, err
	}
	return s.info(rec)
}

// Tag gives the image id further names, which leave the images that had them. Nothing is written when it has them all.
func (s *Store) Tag(ctx context.Context, id v1.Hash, refs ...string) (Info, error) {
	n, err := tags(refs)
	if err != nil {
		return Info{}, err
	}
	missing := errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot name image %s: it is not here", content.Short(id)))
	x, err := s.readIndex()
	if err != nil {
		return Info{}, err
	}
	rec := x.byID(id)
	if rec == nil {
		return Info{}, missing
	}
	if err := s.whole(rec); err != nil {
		return Info{}, err
	}
	if !slices.ContainsFunc(n.refs, func(ref string) bool { return !slices.Contains(rec.Refs, ref) }) {
		return s.info(rec)
	}
	err = s.update(func(x *index) error {
		have := x.byID(id)
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
	return s.info(rec)
}

// tags are refs in full form. A digest names what a registry has, and cannot be given.
func tags(refs []string) (names, error) {
	var n names
	for _, s := range refs {
		r, err := reference.Parse(s)
		if err != nil {
			return n, err
		}
		if r.HasDigest() {
			return n, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot name an image %s: a digest is not given, it is found out; leave it out", s))
		}
		n.refs = append(n.refs, r.Tagged())
	}
	return n, nil
}
