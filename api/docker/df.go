package docker

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/volume"

	"github.com/stackrun/stack/api/docker/containers"
	"github.com/stackrun/stack/api/docker/images"
	"github.com/stackrun/stack/api/docker/volumes"
	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
)

// diskUsage is the answer of GET /system/df in API versions before 1.52. What was not asked for is null.
type diskUsage struct {
	LayersSize int64               `json:"LayersSize"`
	Images     []image.Summary     `json:"Images"`
	Containers []container.Summary `json:"Containers"`
	Volumes    []volume.Volume     `json:"Volumes"`
	BuildCache []build.CacheRecord `json:"BuildCache"`
}

// usageKinds are what can be asked for.
var usageKinds = []string{"container", "image", "volume", "build-cache"}

// df measures what the nouns have, each as its list shows it. What builds keep beside the layers of images has no records of its own here.
func (e Engines) df(w http.ResponseWriter, r *http.Request) error {
	kinds := r.URL.Query()["type"]
	for _, kind := range kinds {
		if !slices.Contains(usageKinds, kind) {
			return errdefs.With(errdefs.ErrInvalidArgument, errors.New("unknown object type: "+kind))
		}
	}
	var u diskUsage
	var err error
	of := func(kind string, measure func(ctx context.Context) error) {
		if err == nil && (len(kinds) == 0 || slices.Contains(kinds, kind)) {
			err = measure(r.Context())
		}
	}
	of("container", func(ctx context.Context) error {
		u.Containers, err = containers.Usage(ctx, e.Containers)
		return err
	})
	of("image", func(ctx context.Context) error {
		all := u.Containers // who has which image
		if all == nil {
			if all, err = containers.Usage(ctx, e.Containers); err != nil {
				return err
			}
		}
		users := map[string]int64{}
		for _, c := range all {
			users[c.ImageID]++
		}
		u.Images, u.LayersSize, err = images.Usage(r, e.Images, users)
		return err
	})
	of("volume", func(ctx context.Context) error {
		u.Volumes, err = volumes.Usage(ctx, e.Volumes)
		return err
	})
	of("build-cache", func(context.Context) error {
		u.BuildCache = []build.CacheRecord{}
		return nil
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, u)
}
