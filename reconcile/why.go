package reconcile

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// Why says how the containers of a service came to be what they are. It changes nothing. ErrNotFound when there is none, and no plan was left undone that
// may be the reason.
func (e *Engine) Why(ctx context.Context, project string, o ask.WhyOptions) (*ask.Why, error) {
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	out := &ask.Why{Project: project, Service: o.Service, Containers: []ask.WhyContainer{}}
	starts, unfinished, err := e.memory.Kept(project)
	if err != nil {
		return nil, err
	}
	out.Unfinished = unfinished
	r, err := e.wishes.Of(project)
	if err != nil || r == nil { // who needs the record says what is wrong with it
		r = wish.New()
	}
	for _, c := range list {
		if c.Service != o.Service || c.OneOff || o.Index != 0 && c.Number != o.Index {
			continue
		}
		s := e.keep.StatusOf(c)
		w := ask.WhyContainer{Name: c.Name, ID: c.ID, State: inventory.StateWord(c, s), StartedAt: c.StartedAt, Start: e.memory.StartOf(c, starts[c.Name]), Restart: e.memory.RestartOf(c, s), Evidence: *await.Evidence(ctx, c, s)}
		if c.Status == runtime.Running && c.Health != nil {
			w.Health = string(s.Health)
		}
		w.NotSent = e.keep.Forward.Problem(c.ID)
		w.Stopped = c.Status == runtime.Stopped && r.IsOff(c.Replica())
		w.Asked = w.Stopped && s.Asked
		out.Containers = append(out.Containers, w)
	}
	if len(out.Containers) == 0 && unfinished == nil { // else that may be why
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot explain service %s of project %s: it has no container; `stack up` makes one", o.Service, project))
	}
	return out, nil
}
