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
	if err := r.wishes.Begin(project, "down", o, nil, nil); err != nil {
		return err
	}
	return r.TakeDown(ctx, project, o, sink)
}

// TakeDown is Down. Precondition: the project's turn is held and the command is on record.
func (r *Remover) TakeDown(ctx context.Context, project string, o ask.DownOptions, sink event.Sink) error {
	taken, removed, err := r.takeAway(ctx, project, o, sink)
	if err == nil && taken == nil { // nothing is left of it, the record neither
		r.loop.Drop(project)
		return nil
	}
	return r.wishes.End(project, err, func(r *wish.Record) {
		wish.Off(inventory.Replicas(removed))(r) // what could be taken away stays so, though something could not
		r.Drop(taken...)
	})
}

// takeAway returns the services that it took down, nil = all and everything, and the containers that it has removed, also beside an error.
func (r *Remover) takeAway(ctx context.Context, project string, o ask.DownOptions, sink event.Sink) (taken []string, removed []*inventory.Container, _ error) {
	if err := r.keep.RemoveVanished(ctx, project); err != nil {
		return nil, nil, err
	}
	m, err := inventory.ListMembers(ctx, r.drivers, project)
	if err != nil {
		return nil, nil, err
	}
	p, err := r.wishes.File(project)
	if err != nil {
		return nil, nil, err
	}
	if p != nil && !o.Provided {
		r.tellUnprovided(p, o, sink)
	}
	networks, err := r.ownNetworks(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	volumes, err := r.ownVolumes(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	if len(m.List) == 0 && len(networks) == 0 && p == nil && !(o.Volumes && len(volumes) > 0) {
		if o.Volumes {
			r.memory.Forget(project, sink)
		}
		r.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "No resource found to remove"})
		return nil, nil, nil
	}

	gone, orphans := toTakeDown(m, p, o)
	if len(orphans) > 0 {
		r.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "containers of services that the file does not have", Detail: strings.Join(orphans, ", ") + "; remove them with --remove-orphans"})
	}
	removed, err = r.keep.RemoveAll(ctx, m, gone, lifecycle.RemoveOptions{Timeout: o.Timeout, Volumes: o.Volumes, Forget: true, File: p}, sink)
	if err != nil {
		return nil, removed, err
	}
	if len(o.Services) > 0 {
		return o.Services, removed, r.removeImages(ctx, project, gone, o.Services, o.RemoveImages, sink) // the project goes on without them
	}
	if err := r.removeShared(ctx, project, networks, volumes, o, sink); err != nil {
		return nil, removed, err
	}
	if o.Volumes {
		if err := r.snapshots.TellSnapshots(ctx, project, sink); err != nil {
			return nil, removed, err
		}
	}
	if err := r.removeImages(ctx, project, gone, nil, o.RemoveImages, sink); err != nil {
		return nil, removed, err
	}
	if len(orphans) > 0 {
		all := []string{}
		for _, c := range m.List {
			all = append(all, c.Service)
		}
		if p != nil {
			all = slices.AppendSeq(all, maps.Keys(p.Services))
		}
		return all, removed, nil // their logs and the record are still needed
	}
	return nil, removed, r.forgetProject(project, o, sink)
}

// toTakeDown are the containers of m that o takes away, and the names of those of services that the file p does not have, which stay.
func toTakeDown(m *inventory.Members, p *spec.Project, o ask.DownOptions) (gone []*inventory.Container, orphans []string) {
	for _, c := range m.List {
		switch {
		case len(o.Services) > 0 && !slices.Contains(o.Services, c.Service):
		case c.Step != nil && slices.ContainsFunc(m.List, func(of *inventory.Container) bool { return of.ID == c.Step.Of }): // goes with that
		case c.Orphan(p) && !o.RemoveOrphans:
			orphans = append(orphans, c.Name)
		default:
			gone = append(gone, c)
		}
	}
	return gone, orphans
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
