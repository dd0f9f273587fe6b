package lifecycle

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/mount"
)

// views are the mounts of the images that s mounts, for container id, which has its snapshot; and the ids of the images by their references,
// which are what the container is made of as much as the image that it runs.
func (k *Keeper) views(ctx context.Context, id string, s *plan.Spec) (mounts []mount.Mount, ids map[string]string, err error) {
	for i, m := range s.Mounts {
		if m.Type != "image" {
			continue
		}
		info, err := inventory.Image(ctx, k.drivers, m.Source, s.Platform)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s of volumes[%d]: %w", m.Source, i, err)
		}
		view, err := k.drivers.Images.View(ctx, id, info.ID)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s of volumes[%d]: %w", m.Source, i, err)
		}
		view.Target, view.Subpath = m.Target, m.Subpath
		mounts = append(mounts, view)
		if ids == nil {
			ids = map[string]string{}
		}
		ids[m.Source] = info.ID.String()
	}
	return mounts, ids, nil
}
