package performer

import (
	"context"
	"slices"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
)

// runPreStart is preStart as a step of a plan.
func (p *Performer) runPreStart(ctx context.Context, op plan.RunPreStart) error {
	c, err := inventory.ByID(ctx, p.kit.drivers, p.created(op.ContainerID, op.Service, op.Replica))
	if err == nil && c.Alive() {
		return nil // its policy was faster than this plan
	}
	if err == nil {
		c.Name = op.Name // in this pass
		err = p.kit.keep.PreStart(ctx, c, op.Steps, p.sink, p.NoteRun)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		p.say(plan.KindContainer, op.Name, op.Service, event.Failed, "Error", wording.FirstLine(err))
	}
	return p.at(spec.Path("services."+op.Service), lifecycle.HookAt(p.project, op.Service, err))
}

// onceOf says whether op has a step that is done once for the service.
func (p *Performer) onceOf(op plan.RunPreStart) bool {
	s := p.Want.Services[op.Service]
	return s != nil && slices.ContainsFunc(op.Steps, func(i int) bool { return i < len(s.Spec.PreStart) && !s.Spec.PreStart[i].PerReplica })
}
