package images

import (
	"context"
	"errors"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/spec"
)

// Built is which images the services that o means have had until now of those that are built here.
func (im *Images) Built(ctx context.Context, p *spec.Project, o ask.UpOptions) map[string]v1.Hash {
	ids := map[string]v1.Hash{}
	for name, s := range p.Services {
		if s.Build == nil || len(o.Services) > 0 && !slices.Contains(o.Services, name) {
			continue
		}
		if info, err := inventory.Image(ctx, im.drivers, p.ImageOf(s), s.Platform); err == nil {
			ids[name] = info.ID
		}
	}
	return ids
}

// PruneSuperseded removes of before those that a build has taken their last name from, unless something has them still.
func (im *Images) PruneSuperseded(ctx context.Context, p *spec.Project, before map[string]v1.Hash, sink event.Sink) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		s, id := p.Services[name], before[name]
		old, err := inventory.Image(ctx, im.drivers, id.String(), s.Platform)
		if err != nil || len(old.Refs) > 0 || len(old.Digests) > 0 {
			continue
		}
		err = im.drivers.Images.Delete(ctx, id.String())
		if err != nil && !errors.Is(err, errdefs.ErrNotFound) && !errors.Is(err, errdefs.ErrConflict) {
			im.hub.Say(sink, event.Event{Project: p.Name, Kind: "image", Name: p.ImageOf(s), Service: name, Phase: event.Warning, Text: "The image before it is not removed", Detail: err.Error()})
		}
	}
}
