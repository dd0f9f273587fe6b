package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// bucketProjects holds what users have asked for, a wish.Record by project.
const bucketProjects = "projects"

// wish is what a user has asked for of project, nil when nothing.
func (e *Engine) wish(project string) (*wish.Record, error) {
	raw, err := e.rawWish(project)
	if raw == nil {
		return nil, err
	}
	r, err := e.decoded.Decode(project, raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return r, nil
}

// rawWish is the text of the record of project, nil when there is none.
func (e *Engine) rawWish(project string) ([]byte, error) {
	raw, err := e.store.Get(bucketProjects, project)
	if errors.Is(err, errdefs.ErrNotFound) {
		e.decoded.Forget(project)
		return nil, nil
	}
	return raw, err
}

// known is desired for those who only look. The result is shared: read only.
func (e *Engine) known(project string) (*spec.Project, error) {
	raw, err := e.rawWish(project)
	if raw == nil {
		return nil, err
	}
	p, err := e.decoded.File(project, raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return p, nil
}

// desired is the last applied file of a project, nil when there is none.
func (e *Engine) desired(project string) (*spec.Project, error) {
	r, err := e.wish(project)
	if r == nil {
		return nil, err
	}
	return e.fileOf(project, r)
}

// recorded is desired as it is written, for those who keep it.
func (e *Engine) recorded(project string) ([]byte, error) {
	r, err := e.wish(project)
	if r == nil {
		return nil, err
	}
	return r.Raw(), nil
}

func (e *Engine) fileOf(project string, r *wish.Record) (*spec.Project, error) {
	p, err := r.File()
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return p, nil
}

// changeWish changes the record of project, if there is one. What changes nothing writes nothing.
func (e *Engine) changeWish(project string, change func(*wish.Record)) error {
	e.wishes.Lock() // a kill may come while somebody else has the project's pass
	defer e.wishes.Unlock()
	raw, err := e.rawWish(project)
	if raw == nil {
		return err
	}
	r, err := e.decoded.Decode(project, raw)
	if err != nil {
		return fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	change(r)
	return e.putWish(project, r, raw)
}

// putWish writes r unless it is what was. Precondition: wishes is held.
func (e *Engine) putWish(project string, r *wish.Record, was []byte) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	if string(raw) == string(was) {
		return nil
	}
	return e.store.Put(bucketProjects, project, raw)
}

// beginCommand records that a command is being carried out, together with what it wishes for from its beginning. Whoever begins must finish.
func (e *Engine) beginCommand(project, verb string, options any, change func(*wish.Record)) error {
	raw, err := json.Marshal(options)
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	return e.changeWish(project, func(r *wish.Record) {
		r.Pass = &wish.Pass{Verb: verb, Options: raw}
		if change != nil {
			change(r)
		}
	})
}

// endCommand records that the command has ended, however it did, and what it has come to. It returns failed if that is not nil.
func (e *Engine) endCommand(project string, failed error, change func(*wish.Record)) error {
	err := e.changeWish(project, func(r *wish.Record) {
		r.Pass = nil
		if change != nil {
			change(r)
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// beginUp records the file of an up, which is the last applied one from here on, and says whether there was another before. An up that
// changes nothing leaves no trace of its own.
func (e *Engine) beginUp(p *spec.Project, want *plan.Desired, o ask.UpOptions, pl *plan.Plan) (known bool, _ error) {
	e.wishes.Lock()
	defer e.wishes.Unlock()
	var r *wish.Record
	raw, err := e.store.Get(bucketProjects, p.Name)
	switch {
	case err == nil:
		// One that cannot be read is written anew: what is in it is known by now.
		if r, err = e.decoded.Decode(p.Name, raw); err != nil {
			r = wish.New()
		}
		known = true
	case errors.Is(err, errdefs.ErrNotFound):
		r = wish.New()
	default:
		return false, err
	}
	if err := r.Apply(p, want.Selected(o.Services, o.NoDeps), o.Scale); err != nil {
		return known, fmt.Errorf("cannot record project %s: %w", p.Name, err)
	}
	r.Ports = autoport.Chosen(want, r.Ports)
	if !pl.Empty() {
		options, err := json.Marshal(o)
		if err != nil {
			return known, fmt.Errorf("cannot record project %s: %w", p.Name, err)
		}
		r.Pass = &wish.Pass{Verb: "up", Options: options}
	}
	return known, e.putWish(p.Name, r, raw)
}

// endUp records what an up has come to. With its success everything that it was for is wished for. Else only what runs is: nobody goes
// on behind the back of who has seen it fail, or has ended it.
func (e *Engine) endUp(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.UpOptions, failed error) error {
	services := want.Selected(o.Services, o.NoDeps)
	off := map[plan.ID]bool{}
	if failed != nil || o.NoStart {
		list, err := inventory.List(context.WithoutCancel(ctx), e.drivers, p.Name)
		if err != nil {
			return errors.Join(failed, err)
		}
		off = idle(want, services, list)
	}
	return e.endCommand(p.Name, failed, func(r *wish.Record) { r.BringUp(services, off) })
}

// idle are the replicas of services that do not run.
func idle(want *plan.Desired, services []string, list []*inventory.Container) map[plan.ID]bool {
	off := map[plan.ID]bool{}
	for _, s := range services {
		for n := 1; n <= want.Services[s].Replicas; n++ {
			off[plan.Container(s, n)] = true
		}
	}
	for _, c := range list {
		if id := c.Replica(); !c.OneOff && off[id] && c.Status != runtime.Created && c.Status != runtime.Stopped {
			delete(off, id)
		}
	}
	return off
}

// off marks containers as not wished for.
func off(list []*inventory.Container) func(*wish.Record) {
	return func(r *wish.Record) {
		for _, c := range list {
			if !c.OneOff {
				r.Off[c.Replica()] = true
				delete(r.Owed, c.Replica())
			}
		}
	}
}

// on marks containers as wished for.
func on(list []*inventory.Container) func(*wish.Record) {
	return func(r *wish.Record) {
		for _, c := range list {
			if !c.OneOff {
				r.Services[c.Service] = true
				delete(r.Off, c.Replica())
				delete(r.Owed, c.Replica())
			}
		}
	}
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
	if err := e.store.Each(bucketProjects, func(name string, raw []byte) error {
		if r, err := wish.Decode(raw); err == nil && r.Old {
			old[name] = true
		}
		return nil
	}); err != nil {
		return err
	}
	for name := range old {
		p, err := e.desired(name)
		if err != nil {
			continue // told to whoever needs it
		}
		if err := e.changeWish(name, func(r *wish.Record) {
			for _, c := range list {
				if c.Project != name || c.OneOff || p.Services[c.Service] == nil {
					continue
				}
				r.Services[c.Service] = true
				ended := c.Status == runtime.Created || c.Status == runtime.Stopped && (c.Exit == nil || c.Exit.Error == "")
				if policy := c.Spec.Restart.Name; stopped[c.ID] || ended && (policy == "" || c.Status == runtime.Created) {
					r.Off[c.Replica()] = true
				}
			}
			for service := range r.Services {
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
