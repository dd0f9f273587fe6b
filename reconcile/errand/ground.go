package errand

import (
	"context"

	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
)

// layGround makes again what the containers stand on that c starts and that is gone: networks and volumes of its file. After a boot a
// start is often the first command, and healing gives way to it before it has put them back.
func (er *Errands) layGround(ctx context.Context, c *task, sink event.Sink) error {
	if c.file == nil || len(c.starts) == 0 {
		return nil
	}
	r, err := er.wishes.Of(c.project)
	if err != nil || r == nil {
		return err
	}
	want, err := er.planner.Desire(c.file, ask.UpOptions{Scale: r.Scale})
	if err != nil {
		return err
	}
	have, err := er.planner.Observe(ctx, want)
	if err != nil {
		return err
	}
	ground, said := plan.Ground(want, have, c.starts)
	if err := said.Err(); err != nil || ground.Empty() {
		return err
	}
	do := er.kit.New(c.file, want, sink)
	do.Keep, do.Have = true, have
	return do.CarryOut(ctx, ground, apply.Options{})
}
