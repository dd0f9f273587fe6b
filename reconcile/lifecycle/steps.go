package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
)

// PreStart runs steps of c's pre_start one after the other, each in a container of its own, and returns when all have exited with 0. The first
// that does not ends it, with a *HookError that has the exit code and the end of its output. ctx ends the step under way. began is called
// when the first is about to run: from then on data may have been written.
//
// What a daemon that was killed has left is gone on with: a step that has succeeded is not run again, one that runs is waited for. So the
// containers of the steps stay until the last has ended, and are removed then, whatever has come of it: their output is in the log.
//
// Precondition: c does not run, and the project's turn is held.
func (k *Keeper) PreStart(ctx context.Context, c *inventory.Container, steps []int, sink event.Sink, began func()) error {
	left, err := k.stepsOf(ctx, c)
	if err != nil {
		return err
	}
	err = k.runSteps(ctx, c, steps, left, sink, began)
	return errors.Join(err, k.RemoveSteps(context.WithoutCancel(ctx), c))
}

func (k *Keeper) runSteps(ctx context.Context, c *inventory.Container, steps []int, left map[int]*inventory.Container, sink event.Sink, began func()) error {
	for _, i := range steps {
		if i >= len(c.Spec.PreStart) {
			continue // of an older make than the plan's
		}
		key := fmt.Sprintf("pre_start[%d]", i)
		fail := func(err error) error {
			return &HookError{Key: key, err: fmt.Errorf("cannot run %s of container %s: %w", key, c.Name, err)}
		}
		want := bundle.Step(c.ID, &c.Spec, i)
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		began()
		step := left[i]
		if step != nil && (step.Encoded != plan.Encode(want) || step.Status != runtime.Running && (step.Exit == nil || step.Exit.Code != 0)) {
			if err := k.DiscardStep(ctx, step); err != nil {
				return fail(err)
			}
			step = nil
		}
		if step == nil {
			var err error
			if step, err = k.makeStep(ctx, c, i, want, sink); err != nil {
				return fail(err)
			}
			if err := k.Start(ctx, step.ID, nil); err != nil {
				return fail(err)
			}
		}
		// Now that it runs: who follows the logs looks again at this.
		k.hub.Say(sink, c.Event(event.Working, "Running "+key, strings.Join(c.Spec.PreStart[i].Command, " ")))
		if err := k.Waits.For(ctx, step, untilStepDone(step)); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fail(err)
		}
	}
	return nil
}

// untilStepDone is the condition of a step: that it has exited with 0.
func untilStepDone(step *inventory.Container) func(*inventory.Container, supervise.Status) (bool, error) {
	what := strconv.Quote(strings.Join(step.Spec.Command, " "))
	if len(step.Spec.Command) == 0 {
		what = "image " + step.Spec.Image
	}
	return func(_ *inventory.Container, s supervise.Status) (bool, error) {
		switch {
		case s.State != supervise.Ended:
			return false, nil
		case s.Exit != nil && s.Exit.Code == 0:
			return true, nil
		}
		return false, &await.NotReady{Text: fmt.Sprintf("%s %s", what, inventory.Ended(s))}
	}
}

func (k *Keeper) makeStep(ctx context.Context, c *inventory.Container, i int, want plan.Spec, sink event.Sink) (*inventory.Container, error) {
	log := ""
	if c.Config != nil && c.Config.Log.Path != "" {
		log = output.StepLog(c.Config.Log.Path, i)
	}
	id, err := k.Create(ctx, Draft{
		Project: c.Project, Sink: sink,
		Service: &plan.Service{Name: c.Service}, Spec: want, Number: c.Number, Name: inventory.StepName(c.Name, i), Slug: objectid.New(), OneOff: true,
		step: &inventory.StepOf{Of: c.ID, Index: i}, log: log,
	})
	if err != nil {
		return nil, err
	}
	return inventory.ByID(ctx, k.drivers, id)
}

// stepsOf are the containers of c's steps, by index.
func (k *Keeper) stepsOf(ctx context.Context, c *inventory.Container) (map[int]*inventory.Container, error) {
	list, err := inventory.ListService(ctx, k.drivers, c.Project, c.Service)
	if err != nil {
		return nil, err
	}
	found := map[int]*inventory.Container{}
	for _, o := range list {
		if o.Step != nil && o.Step.Of == c.ID {
			found[o.Step.Index] = o
		}
	}
	return found, nil
}

// RemoveSteps removes what there is of c's steps. One that still runs was not waited for to its end.
func (k *Keeper) RemoveSteps(ctx context.Context, c *inventory.Container) error {
	if len(c.Spec.PreStart) == 0 {
		return nil
	}
	list, err := k.stepsOf(ctx, c)
	var errs []error
	for _, step := range list {
		errs = append(errs, k.DiscardStep(ctx, step))
	}
	return errors.Join(append(errs, err)...)
}

// DiscardStep removes the container of a step, running or not. One that is gone is success.
func (k *Keeper) DiscardStep(ctx context.Context, step *inventory.Container) error {
	now, err := inventory.ByID(ctx, k.drivers, step.ID)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if now.Alive() {
		if err := k.StopOnly(ctx, now, nil, nil); err != nil {
			return err
		}
	}
	return k.Remove(ctx, now, true, nil)
}
