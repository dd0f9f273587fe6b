package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/spec"
)

// Plan says what Up would do with p and o. It has no way to change anything: it pulls nothing, asks no registry and records nothing.
// An up that is under way is waited for.
func (e *Engine) Plan(ctx context.Context, p *spec.Project, o ask.UpOptions) (*ask.Preview, error) {
	release, err := e.loop.Glance(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	defer e.ports.Release(ctx, p.Name)
	want, err := e.planner.Desire(p, o)
	if err != nil {
		return nil, err
	}
	c, err := e.planner.Compare(ctx, p, want, o)
	if err != nil {
		return nil, err
	}
	pl, now, said, err := e.planner.Foresee(ctx, c)
	if err != nil {
		return nil, err
	}
	out := planning.Preview(p.Name, pl, append(said, tellProviders(p, want, o)...))
	for _, key := range slices.Sorted(maps.Keys(now)) {
		out.Changes = awaited(out.Changes, now[key], c.Have.Images[key] != "")
	}
	for _, s := range want.Services {
		s.Spec.EachImage(func(ref, _ string) {
			if _, local := c.Have.Images[plan.ImageKey(ref, s.Spec.Platform)]; !local {
				return
			}
			for i := range out.Changes {
				if c := &out.Changes[i]; c.Action == plan.Pull && c.ID == (plan.ID{Kind: plan.KindImage, Name: ref}) {
					c.Action = plan.Ask
				}
			}
		})
	}
	sortChanges(out.Changes)
	return out, nil
}

// awaited has in changes, of a plan, an image that is pulled or built before there would be a plan, because its containers depend on what comes of it.
func awaited(changes []plan.Change, due images.DueImage, local bool) []plan.Change {
	id := plan.ID{Kind: plan.KindImage, Name: due.Ref}
	i := slices.IndexFunc(changes, func(c plan.Change) bool { return c.ID == id })
	switch {
	case i < 0 && local:
		changes = append(changes, plan.Change{ID: id, Name: id.Name, Action: plan.Pull, Reasons: []plan.Reason{{Path: "its pull policy asks for a look at the registry; with another image its containers are recreated"}}})
	case i < 0:
		changes = append(changes, plan.Change{ID: id, Name: id.Name, Action: plan.Pull, Reasons: []plan.Reason{{Path: "it is not on this host any more"}}})
	case due.Maker != nil && local:
		changes[i].Reasons = slices.Clone(changes[i].Reasons)
		changes[i].Reasons[0].Path += "; with another image its containers are recreated"
	}
	return changes
}

// Drift says how the host differs from the file of project's last up, and changes nothing. ErrNotFound when there is no such file: the
// project was never up, or is down.
func (e *Engine) Drift(ctx context.Context, project string) (*ask.Preview, error) {
	release, err := e.loop.Glance(ctx, project)
	if err != nil {
		return nil, err
	}
	defer release()
	r, err := e.wishes.Of(project)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot compare project %s with this host: it is not up", project))
	}
	p, err := wish.FileOf(project, r)
	if err != nil {
		return nil, err
	}
	want, err := e.planner.Desire(p, ask.UpOptions{Scale: r.Scale})
	if err != nil {
		return nil, err
	}
	leaveOut(want, r)
	// A file that cannot be read any more is a difference, not the end: the others are to be told too.
	faults := desire.DigestFiles(p, want)
	have, err := e.planner.Observe(ctx, want)
	if err != nil {
		return nil, err
	}
	missing := external(want, have)
	for _, s := range want.Services {
		s.Offline = false
		if s.PullPolicy == "never" {
			s.PullPolicy = "" // nothing is to be pulled: what is missing is only to be told
		}
	}
	pl, said := plan.Build(want, have, plan.Options{RemoveOrphans: true, OwnOnly: true})
	position.Fill(p, said)
	out := planning.Preview(project, pl, append(faults, said...))
	out.Changes = append(out.Changes, missing...)
	for i := range out.Changes {
		addState(&out.Changes[i], have)
		if c := out.Changes[i]; c.Action != plan.Delete && c.Action != plan.Replace && r.IsOff(c.ID) {
			c.Reasons[0].Path += "; it stays so until a command starts it"
		}
	}
	sortChanges(out.Changes)
	return out, nil
}

// external are the networks and volumes of somebody else that are gone. They are put into have, as there, so that a plan
// can be made of the rest.
func external(want *plan.Desired, have *plan.Observed) []plan.Change {
	gone := func(kind plan.Kind, name string) plan.Change {
		return plan.Change{ID: plan.ID{Kind: kind, Name: name}, Name: name, Action: plan.Create, Reasons: []plan.Reason{{Path: "it is external and does not exist"}}}
	}
	var missing []plan.Change
	for name, w := range want.Networks {
		if _, ok := have.Networks[name]; w.External && !ok {
			missing = append(missing, gone(plan.KindNetwork, name))
			have.Networks[name] = plan.NetworkState{Name: name}
		}
	}
	for name, w := range want.Volumes {
		if _, ok := have.Volumes[name]; w.External && !ok {
			missing = append(missing, gone(plan.KindVolume, name))
			have.Volumes[name] = plan.VolumeState{Name: name}
		}
	}
	return missing
}

// addState adds to a container that is other than the file says that it does not run either, or what is damaged of it: to a plan that
// makes it anew this does not matter.
func addState(change *plan.Change, have *plan.Observed) {
	if change.Action != plan.Replace || change.ID.Kind != plan.KindContainer {
		return
	}
	for _, c := range have.Containers {
		if c.OneOff || plan.Container(c.Service, c.Replica) != change.ID {
			continue
		}
		switch {
		case c.Status == plan.StatusExited:
			change.Reasons = append(change.Reasons, plan.Reason{Path: fmt.Sprintf("it has exited with code %d", c.ExitCode)})
		default:
			for _, problem := range []string{c.Problem, c.NetworkProblem} {
				if problem != "" {
					change.Reasons = append(change.Reasons, plan.Reason{Path: problem})
				}
			}
		}
	}
}

// leaveOut takes the services out of want that nobody has brought up. Their containers, if there are any, are no orphans.
func leaveOut(want *plan.Desired, r *wish.Record) {
	for name, s := range want.Services {
		if !r.Wants(name) {
			delete(want.Services, name)
			want.Known = append(want.Known, name)
			continue
		}
		for dep := range s.DependsOn {
			if !r.Wants(dep) {
				delete(s.DependsOn, dep)
			}
		}
	}
}

// sortChanges puts what others need first.
func sortChanges(list []plan.Change) {
	slices.SortStableFunc(list, func(a, b plan.Change) int { return plan.Compare(a.ID, b.ID) })
}
