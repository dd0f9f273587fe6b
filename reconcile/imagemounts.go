package reconcile

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/mount"
)

// ownView is what c has of m, which another container lends: of an image a view of c's own, for that of the lender goes with it, and with that what holds the image.
func (e *Engine) ownView(ctx context.Context, c *inventory.Container, m mount.Mount) (mount.Mount, error) {
	if !m.View() {
		return m, nil
	}
	id, err := v1.NewHash(m.Source)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("the image at %s: %w", m.Target, err)
	}
	own, err := e.drivers.Images.View(ctx, c.ID, id)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("the image at %s: %w", m.Target, err)
	}
	own.Target, own.Subpath = m.Target, m.Subpath
	return own, nil
}

// views are the mounts of the images that s mounts, for container id, which has its snapshot; and the ids of the images by their references,
// which are what the container is made of as much as the image that it runs.
func (p *performer) views(ctx context.Context, id string, s *plan.Spec) (mounts []mount.Mount, ids map[string]string, err error) {
	for i, m := range s.Mounts {
		if m.Type != "image" {
			continue
		}
		info, err := inventory.Image(ctx, p.e.drivers, m.Source, s.Platform)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s of volumes[%d]: %w", m.Source, i, err)
		}
		view, err := p.e.drivers.Images.View(ctx, id, info.ID)
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
