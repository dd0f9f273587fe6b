package reconcile

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// endUp records what an up has come to. With its success everything that it was for is wished for. Else only what runs is, and what ran before and was stopped to
// be made anew or started again, and was not: nobody has asked for that to be down. Of the rest nobody goes on behind the back of who has seen it fail, or has ended it. So it is
// with what a rolling update has left that failed: its failure_action says what becomes of it. leaving are those that were being stopped when it
// began, ran the others that ran then, and those that it has started.
func (e *Engine) endUp(ctx context.Context, do *performer.Performer, pl *plan.Plan, o ask.UpOptions, leaving plan.Debts, ran map[string]plan.ID, failed error) error {
	want := do.Want
	services := want.Selected(o.Services, o.NoDeps)
	off := map[plan.ID]bool{}
	if failed != nil || o.NoStart {
		list, err := inventory.List(context.WithoutCancel(ctx), e.drivers, want.Project)
		if err != nil {
			return errors.Join(failed, err)
		}
		off = e.idle(want, services, list)
	}
	stopped := pl.Interrupts(do.Have)
	decided := map[plan.ID]bool{} // by a rolling update that has failed
	if ctx.Err() == nil {
		decided = pl.Updated()
	}
	return e.wishes.End(want.Project, failed, func(r *wish.Record) {
		owed := plan.Debts{}
		if failed != nil {
			// Not only by this pass: the up may be the rest of one that a daemon did not live to end, or come after another that has failed.
			owed = maps.Clone(r.Owed())
			maps.DeleteFunc(owed, func(id plan.ID, _ plan.Debt) bool {
				_, mine := stopped[id]
				return !mine && !off[id] || do.Settled(id) || decided[id]
			})
		}
		for id, debt := range leaving {
			if !o.NoStart && slices.Contains(services, id.Name) && id.Replica <= want.Services[id.Name].Replicas && !decided[id] {
				owed[id] = debt
			}
		}
		for id := range owed {
			delete(off, id)
		}
		maps.Copy(off, e.keep.CalledOff(ran, do.Have, r))
		r.Settle(slices.Collect(maps.Keys(stopped))...)
		r.BringUp(services, off)
		r.Owe(owed)
	})
}

// idle are the replicas of services that do not run, and are not about to be started again by their policy.
func (e *Engine) idle(want *plan.Desired, services []string, list []*inventory.Container) map[plan.ID]bool {
	off := map[plan.ID]bool{}
	for _, s := range services {
		for n := 1; n <= want.Services[s].Replicas; n++ {
			off[plan.Container(s, n)] = true
		}
	}
	for _, c := range list {
		if !c.OneOff && (c.Alive() || e.keep.RunsOn(c)) {
			delete(off, c.Replica())
		}
	}
	return off
}

// bucketStopped is where programs before the wishes kept the containers that a user had stopped, by id.
const bucketStopped = "stopped"

// modernise brings the records of such programs up to date: they did not say what was brought up, so what there is was; and what has
// ended was stopped, but for what nobody saw end.
func (e *Engine) modernise(list []*inventory.Container) error {
	stopped := map[string]bool{}
	if err := e.store.Each(bucketStopped, func(id string, _ []byte) error {
		stopped[id] = true
		return nil
	}); err != nil {
		return err
	}
	old := map[string]bool{}
	if err := e.wishes.Each(func(name string, raw []byte) error {
		if r, err := wish.Decode(raw); err == nil && r.Old {
			old[name] = true
		}
		return nil
	}); err != nil {
		return err
	}
	for name := range old {
		p, err := e.wishes.File(name)
		if err != nil {
			continue // told to whoever needs it
		}
		if err := e.wishes.Change(name, func(r *wish.Record) {
			services, off := map[string]bool{}, map[plan.ID]bool{}
			for _, c := range list {
				if c.Project != name || c.OneOff || p.Services[c.Service] == nil {
					continue
				}
				services[c.Service] = true
				ended := c.Status == runtime.Created || c.Status == runtime.Stopped && (c.Exit == nil || c.Exit.Error == "")
				if policy := c.Spec.Restart.Name; stopped[c.ID] || ended && (policy == "" || c.Status == runtime.Created) {
					off[c.Replica()] = true
				}
			}
			r.BringUp(slices.Collect(maps.Keys(services)), off)
			for service := range services {
				numbers := 0
				for _, c := range list {
					if c.Project == name && c.Service == service && !c.OneOff {
						numbers++
					}
				}
				if numbers != p.Services[service].Replicas {
					r.Scale[service] = numbers
				}
			}
			r.Old = false
		}); err != nil {
			return err
		}
	}
	for id := range maps.Keys(stopped) {
		if err := e.store.Delete(bucketStopped, id); err != nil {
			return err
		}
	}
	return nil
}
