package reconcile

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// findImages asks for every image that pl pulls, before anything is made: a name that is not there must not leave half a project.
func (e *Engine) findImages(ctx context.Context, p *spec.Project, want *plan.Desired, pl *plan.Plan, sink event.Sink) error {
	var work errgroup.Group
	work.SetLimit(parallelPulls)
	do := e.performer(p, want, sink)
	var failures []error
	results := make(chan error, len(pl.Steps))
	for _, s := range pl.Steps {
		op, ok := s.Op.(plan.PullImage)
		if !ok {
			continue
		}
		work.Go(func() error {
			pl, err := inventory.Platform(op.Platform)
			if err == nil {
				err = e.drivers.Images.Find(ctx, op.Ref, pl)
			}
			if err != nil && ctx.Err() == nil {
				do.say(plan.KindImage, op.Ref, "", event.Failed, "Error", err.Error())
			}
			results <- do.imageError(op, err)
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
