package performer

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
)

// WaitReady waits until every container of a service meets a condition. It does not poll: supervisors tell.
func (p *Performer) WaitReady(ctx context.Context, op plan.WaitReady) error {
	ctx, done := p.Round.Patient(ctx)
	defer done()
	list, err := inventory.List(ctx, p.kit.drivers, p.Want.Project)
	if err != nil {
		return err
	}
	var work errgroup.Group
	for _, c := range list {
		if c.Service == op.Service && !c.OneOff && !c.Spare && (op.Replicas == nil || slices.Contains(op.Replicas, c.Number)) {
			work.Go(func() error { return p.waitOne(ctx, c, op) })
		}
	}
	err = work.Wait()
	if err != nil && op.Optional && ctx.Err() == nil {
		p.say(plan.KindContainer, op.Service, op.Service, event.Warning, "Optional dependency failed", err.Error())
		return nil
	}
	return p.at(spec.Path("services."+op.Service), err)
}

func (p *Performer) waitOne(ctx context.Context, c *inventory.Container, op plan.WaitReady) error {
	p.say(plan.KindContainer, c.Name, c.Service, event.Working, "Waiting", "")
	var err error
	done := "Healthy"
	if op.Condition == plan.Completed {
		done, err = "Exited", p.kit.keep.Waits.ForEnd(ctx, c)
	} else {
		err = p.kit.keep.Waits.For(ctx, c, await.Healthy)
	}
	if err != nil {
		var late *await.Late
		if ctx.Err() == nil || errors.As(err, &late) {
			p.say(plan.KindContainer, c.Name, c.Service, event.Failed, "Error", wording.FirstLine(err))
		}
		return err
	}
	if s, ok := p.kit.keep.Group.Status(c.ID); ok {
		p.mu.Lock()
		p.probes[op.Service] = max(p.probes[op.Service], s.HealthyProbes)
		p.mu.Unlock()
	}
	p.kit.hub.Say(p.sink, event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: done, Awaited: true})
	return nil
}
