package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// Find asks for every image that pl pulls, before anything is made: a name that is not there must not leave half a project.
func (im *Images) Find(ctx context.Context, p *spec.Project, pl *plan.Plan, sink event.Sink) error {
	var work errgroup.Group
	work.SetLimit(parallelPulls)
	var failures []error
	results := make(chan error, len(pl.Steps))
	for _, s := range pl.Steps {
		op, ok := s.Op.(plan.PullImage)
		if !ok {
			continue
		}
		work.Go(func() error {
			platform, err := inventory.Platform(op.Platform)
			if err == nil {
				err = im.drivers.Images.Find(ctx, op.Ref, platform)
			}
			if err != nil && ctx.Err() == nil {
				im.hub.Say(sink, event.Event{Project: pl.Project, Kind: string(plan.KindImage), Name: op.Ref, Phase: event.Failed, Text: "Error", Detail: err.Error()})
			}
			results <- im.At(p, op, err)
			return nil
		})
	}
	_ = work.Wait() // its functions return nil
	close(results)
	for err := range results {
		failures = append(failures, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(failures...)
}

// At names the service and the place in the file.
func (im *Images) At(p *spec.Project, op plan.PullImage, err error) error {
	if err == nil || len(op.Services) == 0 {
		return err
	}
	service := op.Services[0]
	return im.at(p, "services."+service+"."+cmp.Or(op.At, "image"), fmt.Errorf("cannot get the image of service %s: %w", service, err))
}
