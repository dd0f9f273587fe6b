package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Resolve finds a local image by reference, digest, id, or a prefix of an id that only one image has. An image of a
// platform that p (the zero value: this host's) cannot run counts as missing: errdefs.ErrNotFound, naming what is there.
// Named by id, an image of any platform is found when p is zero.
func (s *Store) Resolve(ctx context.Context, ref string, p v1.Platform) (Info, error) {
	x, err := s.readIndex()
	if err != nil {
		return Info{}, err
	}
	found, byID, err := x.find(ref)
	if err != nil {
		return Info{}, err
	}
	want := platform.Wanted(p)
	var best *record
	var others []string
	for _, r := range found {
		if byID && p.Architecture == "" {
			best = r
			break
		}
		n := platform.Rank(want, r.Platform)
		if n < 0 {
			others = append(others, platform.Name(r.Platform))
		} else if best == nil || n < platform.Rank(want, best.Platform) {
			best = r
		}
	}
	if best == nil {
		if len(others) > 0 {
			return Info{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s is here for %s and not for %s: pull it for that platform",
				ref, strings.Join(others, ", "), platform.Name(want)))
		}
		return Info{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s is not here: pull or load it", ref))
	}
	if err := s.whole(best); err != nil {
		return Info{}, err
	}
	return s.info(best)
}

// find returns the images that ref may mean. A name goes before an id that looks like one.
func (x *index) find(ref string) (found []*record, byID bool, err error) {
	hex, explicit, maybeID := idPrefix(ref)
	if !explicit {
		r, err := reference.Parse(ref)
		if err != nil && !maybeID {
			return nil, false, err
		}
		if err == nil {
			for _, rec := range x.Images {
				if rec.is(r) {
					found = append(found, rec)
				}
			}
		}
		if len(found) > 0 || !maybeID {
			return found, false, nil
		}
	}
	for _, rec := range x.Images {
		if strings.HasPrefix(rec.ID.Hex, hex) || explicit && len(hex) == 64 && rec.Manifest.Hex == hex {
			found = append(found, rec)
		}
	}
	if len(found) > 1 {
		var ids []string
		for _, rec := range found {
			ids = append(ids, content.Short(rec.ID))
		}
		return nil, true, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("image id %s is not enough: %s begin with it", ref, strings.Join(ids, ", ")))
	}
	return found, true, nil
}

// is says whether r names the image. With a digest the tag is only said.
func (rec *record) is(r reference.Reference) bool {
	if r.HasDigest() {
		return slices.Contains(rec.Digests, r.Digested(r.Digest)) || slices.Contains(rec.Refs, r.Digested(r.Digest))
	}
	return slices.Contains(rec.Refs, r.Tagged())
}

// whole checks that every layer is there: a power cut may have taken some (see durable.go).
func (s *Store) whole(rec *record) error {
	for _, d := range rec.Layers {
		if _, err := os.Lstat(s.layers.Dir(d)); errors.Is(err, fs.ErrNotExist) {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s lacks layer %s: pull or load it again", rec.name(), content.Short(d)))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// name is what messages call the image.
func (rec *record) name() string {
	if len(rec.Refs) > 0 {
		return reference.Familiar(rec.Refs[0])
	}
	return content.Short(rec.ID)
}

// List returns every image that is whole, latest pulled first.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, rec := range x.Images {
		err := s.whole(rec)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := s.info(rec)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	slices.SortStableFunc(list, func(a, b Info) int { return b.PulledAt.Compare(a.PulledAt) })
	return list, nil
}

func (s *Store) info(rec *record) (Info, error) {
	c, err := s.readConfig(rec.ID)
	if err != nil {
		return Info{}, err
	}
	info := Info{
		ID: rec.ID, Digest: rec.Manifest, Platform: rec.Platform, Size: rec.Size,
		Created: rec.Created, PulledAt: rec.PulledAt, Dangling: len(rec.Refs) == 0, Config: *c.Config.DeepCopy(),
	}
	for _, ref := range rec.Refs {
		if !strings.Contains(ref, "@") {
			info.Refs = append(info.Refs, reference.Familiar(ref))
		}
	}
	for _, d := range rec.Digests {
		info.Digests = append(info.Digests, reference.Familiar(d))
	}
	return info, nil
}
