package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Resolve finds a local image by reference, digest, id, or a prefix of an id that only one image has. An image of a
// platform that p (the zero value: this host's) cannot run counts as missing: errdefs.ErrNotFound, naming what is there.
// Named by id, an image of any platform is found when p is zero.
func (c *Catalog) Resolve(ref string, p v1.Platform) (Info, error) {
	x, err := c.Index()
	if err != nil {
		return Info{}, err
	}
	found, byID, err := x.Find(ref)
	if err != nil {
		return Info{}, err
	}
	want := platform.Wanted(p)
	var best *Record
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
	if err := c.Whole(best); err != nil {
		return Info{}, err
	}
	return c.info(best)
}

// Whole checks that every layer is there: a power cut may have taken some (see image/layer/durable.go).
func (c *Catalog) Whole(rec *Record) error {
	for _, d := range rec.Layers {
		if _, err := os.Lstat(c.layers.Dir(d)); errors.Is(err, fs.ErrNotExist) {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("image %s lacks layer %s: pull or load it again", rec.Name(), content.Short(d)))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// List returns every image that is whole, latest pulled first.
func (c *Catalog) List() ([]Info, error) {
	x, err := c.Index()
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, rec := range x.Images {
		err := c.Whole(rec)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := c.info(rec)
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

func (c *Catalog) info(rec *Record) (Info, error) {
	conf, err := c.Config(rec.ID)
	if err != nil {
		return Info{}, err
	}
	info := Info{
		ID: rec.ID, Digest: rec.Manifest, Platform: rec.Platform, Size: rec.Size,
		Created: rec.Created, PulledAt: rec.PulledAt, Dangling: len(rec.Refs) == 0, Config: *conf.Config.DeepCopy(),
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

// Info is one local image.
type Info struct {
	ID       v1.Hash  // digest of the config blob: the image id that users know
	Digest   v1.Hash  // digest of the manifest that was pulled, for repo digests; zero after docker-archive loads
	Refs     []string // tags, as users write them: nginx:1.22
	Digests  []string // repository@digest of manifest and index, as users write them
	Platform v1.Platform
	Size     int64 // bytes of the unpacked layers
	Created  time.Time
	PulledAt time.Time
	Dangling bool      // no name keeps it
	Config   v1.Config // Entrypoint, Cmd, Env, User, WorkingDir, Volumes, Healthcheck, StopSignal, Labels
}
