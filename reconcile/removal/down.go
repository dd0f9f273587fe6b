package removal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/spec"
)

// Down takes a project away: containers in the reverse order of their dependencies, then networks, and what the options
// ask for. It works from labels and the record of the last up, so it needs no file. External networks and volumes have no
// labels of ours and stay. An unknown project is nothing to do, with a warning.
func (r *Remover) Down(ctx context.Context, project string, o ask.DownOptions, sink event.Sink) error {
	switch o.RemoveImages {
	case "", "local", "all":
	default:
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot remove %q images: expected local or all", o.RemoveImages))
	}
	turn := r.loop.Pass
	if len(o.Services) == 0 {
		turn = r.loop.Overrule
	}
	release, err := turn(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	t, err := r.target(ctx, project, o)
	if err != nil {
		return err
	}
	if err := r.wishes.Begin(project, "down", o, nil, func(r *wish.Record) { wish.Off(t.meant(r))(r) }); err != nil {
		return err
	}
	return r.takeDown(ctx, t, sink)
}

// ResumeDown does what is left of a Down that was cut short. Precondition: the project's turn is held.
func (r *Remover) ResumeDown(ctx context.Context, project string, o ask.DownOptions) error {
	t, err := r.target(ctx, project, o)
	if err != nil {
		return err
	}
	return r.takeDown(ctx, t, nil)
}

// takeDown takes t away and records what has come of it. Precondition: the project's turn is held and the command is on record, with all that it means marked as not wished for.
//
// What a down that fails, or that its caller ends, has left running is wished for still, as docker compose leaves it: its restart policy holds, and so does healing. What it has
// ended, or removed, stays so, whichever daemon has done that; and so does what did not run, until an up or a start.
func (r *Remover) takeDown(ctx context.Context, t *target, sink event.Sink) error {
	taken, err := r.takeAway(ctx, t, sink)
	if err == nil && taken == nil { // nothing is left of it, the record neither
		r.loop.Drop(t.project)
		return nil
	}
	var left []plan.ID
	if err != nil {
		left = r.keep.LetRunOn(t.gone)
	}
	return r.wishes.End(t.project, err, func(r *wish.Record) {
		wish.Spared(left)(r)
		r.Drop(taken...)
	})
}

// takeAway returns the services that it took down, nil = all and everything.
func (r *Remover) takeAway(ctx context.Context, t *target, sink event.Sink) (taken []string, _ error) {
	project, o, m, p := t.project, t.options, t.members, t.file
	if err := r.keep.RemoveVanished(ctx, project); err != nil {
		return nil, err
	}
	if p != nil && !o.Provided {
		r.tellUnprovided(p, o, sink)
	}
	networks, err := r.ownNetworks(ctx, project)
	if err != nil {
		return nil, err
	}
	volumes, err := r.ownVolumes(ctx, project)
	if err != nil {
		return nil, err
	}
	if len(m.List) == 0 && len(networks) == 0 && p == nil && !(o.Volumes && len(volumes) > 0) {
		if o.Volumes {
			r.memory.Forget(project, sink)
		}
		r.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "No resource found to remove"})
		return nil, nil
	}

	gone, orphans := t.gone, t.orphans
	if len(orphans) > 0 {
		r.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "containers of services that the file does not have", Detail: strings.Join(orphans, ", ") + "; remove them with --remove-orphans"})
	}
	if err := r.keep.RemoveAll(ctx, m, gone, lifecycle.RemoveOptions{Timeout: o.Timeout, Volumes: o.Volumes, Forget: true, File: p}, sink); err != nil {
		return nil, err
	}
	if len(o.Services) > 0 {
		return o.Services, r.removeImages(ctx, project, gone, o.Services, o.RemoveImages, sink) // the project goes on without them
	}
	if err := r.removeShared(ctx, project, networks, volumes, o, sink); err != nil {
		return nil, err
	}
	if o.Volumes {
		if err := r.snapshots.TellSnapshots(ctx, project, sink); err != nil {
			return nil, err
		}
	}
	if err := r.removeImages(ctx, project, gone, nil, o.RemoveImages, sink); err != nil {
		return nil, err
	}
	if len(orphans) > 0 {
		all := []string{}
		for _, c := range m.List {
			all = append(all, c.Service)
		}
		if p != nil {
			all = slices.AppendSeq(all, maps.Keys(p.Services))
		}
		return all, nil // their logs and the record are still needed
	}
	return nil, r.forgetProject(project, o, sink)
}

// forgetProject removes what is remembered of a project that is gone: logs, the record of its last up, with its volumes its history.
func (r *Remover) forgetProject(project string, o ask.DownOptions, sink event.Sink) error {
	if err := os.RemoveAll(r.keep.LogDir(project)); err != nil {
		return fmt.Errorf("cannot remove the logs of project %s: %w", project, err)
	}
	if o.Volumes {
		r.memory.Forget(project, sink)
	}
	if err := r.interim.DropRollouts(project, nil); err != nil {
		return err
	}
	return r.wishes.Forget(project)
}

func (r *Remover) ownNetworks(ctx context.Context, project string) ([]string, error) {
	list, err := r.drivers.Networks.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list networks: %w", err)
	}
	var names []string
	for _, n := range list {
		if n.Config.Labels[label.Project] == project {
			names = append(names, n.Config.ID)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (r *Remover) ownVolumes(ctx context.Context, project string) ([]string, error) {
	list, err := r.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var names []string
	for _, v := range list {
		if v.Config.Labels[label.Project] == project {
			names = append(names, v.Config.ID)
		}
	}
	slices.Sort(names)
	return names, nil
}

// removeShared removes networks and, when asked for, volumes, side by side.
func (r *Remover) removeShared(ctx context.Context, project string, networks, volumes []string, o ask.DownOptions, sink event.Sink) error {
	errs := make([]error, len(networks)+len(volumes))
	var work errgroup.Group
	for i, name := range networks {
		work.Go(func() error {
			errs[i] = r.networks.Delete(ctx, project, name, sink)
			return nil
		})
	}
	if o.Volumes {
		for i, name := range volumes {
			work.Go(func() error {
				errs[len(networks)+i] = r.volumes.Delete(ctx, project, name, sink)
				return nil
			})
		}
	}
	_ = work.Wait() // its functions return nil
	return errors.Join(errs...)
}

// removeImages removes what the containers were made from: "all", or "local", those that were built for the project. services are those whose images
// are meant; nil = all.
func (r *Remover) removeImages(ctx context.Context, project string, gone []*inventory.Container, services []string, which string, sink event.Sink) error {
	if which == "" {
		return nil
	}
	done := map[string]bool{}
	var errs []error
	refs, err := r.builtImages(ctx, project, services)
	if err != nil {
		return err
	}
	if which == "all" {
		for _, c := range gone {
			c.Spec.EachImage(func(ref, _ string) { refs = append(refs, ref) })
		}
	}
	for i, ref := range refs {
		refs[i] = strings.TrimSuffix(ref, ":latest") // of one name said in two ways one is told
	}
	for _, ref := range refs {
		if done[ref] {
			continue
		}
		done[ref] = true
		ev := event.Event{Project: project, Kind: "image", Name: ref, Phase: event.Working, Text: "Removing"}
		r.hub.Say(sink, ev)
		err := r.drivers.Images.Delete(ctx, ref)
		switch {
		case err == nil:
			ev.Phase, ev.Text = event.Done, "Removed"
		case errors.Is(err, errdefs.ErrNotFound):
			ev.Phase, ev.Text = event.Done, "Not there"
		case errors.Is(err, errdefs.ErrConflict):
			ev.Phase, ev.Text, ev.Detail = event.Warning, "Resource is still in use", r.roster.Named(err).Error()
		default:
			ev.Phase, ev.Text, ev.Detail = event.Failed, "Error", err.Error()
			errs = append(errs, fmt.Errorf("cannot remove image %s: %w", ref, err))
		}
		r.hub.Say(sink, ev)
	}
	return errors.Join(errs...)
}

// builtImages are the names of images that were built for services of project, by their labels, which each image that is built here has. Other names that
// build.tags has given them stay, as with docker compose.
func (r *Remover) builtImages(ctx context.Context, project string, services []string) ([]string, error) {
	list, err := r.drivers.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	p, err := r.wishes.File(project)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, info := range list {
		service := info.Config.Labels[label.Service]
		if info.Config.Labels[label.Project] != project || len(services) > 0 && !slices.Contains(services, service) {
			continue
		}
		name := project + "-" + service
		if p != nil {
			if s := p.Services[service]; s != nil {
				name = p.ImageOf(s)
			}
		}
		for _, ref := range info.Refs {
			if strings.TrimSuffix(ref, ":latest") == strings.TrimSuffix(name, ":latest") {
				refs = append(refs, ref)
			}
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// tellUnprovided says that programs which provide services are not run by a down without the file.
func (r *Remover) tellUnprovided(p *spec.Project, o ask.DownOptions, sink event.Sink) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if s := p.Services[name]; s.Provider != nil && (len(o.Services) == 0 || slices.Contains(o.Services, name)) {
			r.hub.Say(sink, event.Event{Project: p.Name, Kind: "service", Name: name, Service: name, Phase: event.Warning, Text: "Left as it is",
				Detail: "what " + s.Provider.Type + " provides is removed by a down with the file"})
		}
	}
}
