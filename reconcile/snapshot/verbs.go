package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/reconcile/errand"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/volume"
)

// SnapshotVolumes copies what is in volumes of project, as it is at one moment: containers that have one of them, whosever they are, are paused meanwhile, or stopped and
// started again. One that a daemon does not live to let go on, or to start, the next one does.
func (a *Archive) SnapshotVolumes(ctx context.Context, project string, o ask.SnapshotOptions, sink event.Sink) error {
	release, err := a.volumePass(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	ids, err := a.chosenVolumes(ctx, project, o.Volumes)
	if err != nil {
		if len(o.Volumes) == 1 && o.Name == "" && errors.Is(err, errdefs.ErrNotFound) { // restore has the snapshot's name there
			err = fmt.Errorf("%w; what the snapshot is to be called is said with --name", err)
		}
		return fmt.Errorf("cannot make a snapshot of volumes of project %s: %w", project, err)
	}
	all, err := a.drivers.Volumes.Snapshots(ctx)
	if err != nil {
		return err
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(all, func(s volume.Snapshot) bool { return s.Project == project && s.Name == name })
	}
	if o.Name == "" {
		o.Name = unnamed(time.Now(), taken)
	}
	// Before anything stands still for it.
	if err := volume.CheckSnapshot(project, o.Name); err != nil {
		return fmt.Errorf("cannot make a snapshot of volumes of project %s: %w", project, err)
	}
	if taken(o.Name) {
		return errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot make snapshot %s of project %s: there is one of that name; remove it with `stack volumes snapshots rm %s`, or give another --name", o.Name, project, o.Name))
	}
	copyAll := func(ctx context.Context) error {
		return a.tellVolumes(project, ids, "Copying", "Copied to "+o.Name, sink, func() error {
			_, err := a.drivers.Volumes.Snapshot(ctx, project, o.Name, ids)
			return err
		})
	}
	users, err := a.activeUsers(ctx, project, ids)
	switch {
	case err != nil:
		return err
	case !o.Stop || len(users.list) == 0:
		return a.whilePaused(ctx, ids, copyAll)
	}
	if err := users.refuseOthers("cannot stop what has volumes of project " + project); err != nil {
		return err
	}
	return a.errands.WhileStopped(ctx, project, errand.Stopped{Services: users.services(), Timeout: o.Timeout}, sink, copyAll)
}

// unnamed is the name of a snapshot to which nobody has given one: its time, and a number when there is another of the same second.
func unnamed(at time.Time, taken func(string) bool) string {
	second := at.UTC().Format("20060102-150405")
	name := second
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("%s-%d", second, n)
	}
	return name
}

// Snapshots are those of project, the oldest first.
func (a *Archive) Snapshots(ctx context.Context, project string) ([]ask.Snapshot, error) {
	all, err := a.drivers.Volumes.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	out := []ask.Snapshot{}
	for _, s := range all {
		if s.Project != project {
			continue
		}
		row := ask.Snapshot{Project: s.Project, Name: s.Name, CreatedAt: s.CreatedAt}
		for _, c := range s.Volumes {
			row.Volumes = append(row.Volumes, ask.SnapshotVolume{Name: c.ID, Key: c.Labels[label.Volume]})
		}
		out = append(out, row)
	}
	return out, nil
}

// TellSnapshots tells who has removed project's volumes which snapshots of them stay.
func (a *Archive) TellSnapshots(ctx context.Context, project string, sink event.Sink) error {
	all, err := a.Snapshots(ctx, project)
	for _, s := range all {
		a.hub.Say(sink, event.Event{Project: project, Kind: "snapshot", Name: s.Name, Phase: event.Done, Text: "Kept"})
	}
	return err
}

// RestoreVolumes gives volumes what they had in them at a snapshot, all or none of them. What runs and has one must be stopped, or is, in the order of dependencies, and started again.
func (a *Archive) RestoreVolumes(ctx context.Context, project string, o ask.RestoreOptions, sink event.Sink) error {
	release, err := a.volumePass(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	ids, err := a.restorable(ctx, project, o)
	if err != nil {
		return fmt.Errorf("cannot restore volumes of project %s: %w", project, err)
	}
	users, err := a.activeUsers(ctx, project, ids)
	if err != nil {
		return err
	}
	if err := users.refuseOthers("cannot restore volumes of project " + project); err != nil {
		return err
	}
	if len(users.list) == 0 {
		return a.restore(ctx, project, o.Name, ids, sink)
	}
	if !o.Stop {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot restore volumes of project %s: what has them runs: %s; stop it, or let --stop do it and start it again", project, users.names()))
	}
	return a.errands.WhileStopped(ctx, project, errand.Stopped{Services: users.services(), Timeout: o.Timeout, Snapshot: o.Name, Volumes: ids}, sink, func(ctx context.Context) error {
		return a.restore(ctx, project, o.Name, ids, sink)
	})
}

// restore is RestoreVolumes once nothing runs that has the volumes.
func (a *Archive) restore(ctx context.Context, project, name string, ids []string, sink event.Sink) error {
	return a.tellVolumes(project, ids, "Restoring", "Restored from "+name, sink, func() error {
		return a.whileNothingStarts(ctx, ids, func() error { return a.drivers.Volumes.Restore(ctx, project, name, ids) })
	})
}

// restorable are the names of the volumes that o means.
func (a *Archive) restorable(ctx context.Context, project string, o ask.RestoreOptions) ([]string, error) {
	all, err := a.drivers.Volumes.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(s volume.Snapshot) bool { return s.Project == project && s.Name == o.Name })
	if i < 0 {
		var names []string
		for _, s := range all {
			if s.Project == project {
				names = append(names, s.Name)
			}
		}
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no snapshot %s (it has %s)", o.Name, orNone(names)))
	}
	s := all[i]
	var ids []string
	if len(o.Volumes) == 0 {
		for _, c := range s.Volumes {
			ids = append(ids, c.ID)
		}
		return ids, nil
	}
	rows, err := a.lists.Volumes(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, text := range o.Volumes {
		var found []string
		for _, c := range s.Volumes {
			if c.ID == text || c.Labels[label.Volume] == text {
				found = append(found, c.ID)
			}
		}
		if len(found) == 0 {
			for _, row := range rows {
				if slices.Contains(row.Services, text) && s.Has(row.Name) {
					found = append(found, row.Name)
				}
			}
		}
		if len(found) == 0 {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("snapshot %s has no volume %s, and none of a service of that name", o.Name, text))
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// RemoveSnapshots removes snapshots of project. One that is not there is ErrNotFound, and none is removed then.
func (a *Archive) RemoveSnapshots(ctx context.Context, project string, names []string, sink event.Sink) error {
	release, err := a.volumePass(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	have, err := a.Snapshots(ctx, project)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(have, func(s ask.Snapshot) bool { return s.Name == name }) {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot remove snapshot %s: project %s has none of that name", name, project))
		}
	}
	for _, name := range names {
		if err := a.drivers.Volumes.DeleteSnapshot(ctx, project, name); err != nil {
			return err
		}
		a.hub.Say(sink, event.Event{Project: project, Kind: "snapshot", Name: name, Phase: event.Done, Text: "Removed"})
	}
	return nil
}

// CloneVolume gives a volume of p what is in another, of the same project or another one: it is made as the file says, unless it is there. Containers that have the source are paused meanwhile;
// none that runs may have the target.
func (a *Archive) CloneVolume(ctx context.Context, p *spec.Project, o ask.CloneOptions, sink event.Sink) error {
	if o.From == "" {
		o.From = p.Name
	}
	// Two that clone from each other do not wait for each other for ever.
	for _, name := range slices.Compact(slices.Sorted(slices.Values([]string{p.Name, o.From}))) {
		release, err := a.loop.Pass(ctx, name)
		if err != nil {
			return err
		}
		defer release()
	}
	release, err := a.loop.Turn(ctx, resource.VolumeTurn)
	if err != nil {
		return err
	}
	defer release()
	cannot := func(err error) error { return fmt.Errorf("cannot clone volume %s: %w", o.Source, err) }
	ids, err := a.chosenVolumes(ctx, o.From, []string{o.Source})
	switch {
	case err != nil:
		return cannot(err)
	case len(ids) > 1:
		return cannot(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("service %s has several: %s; name one", o.Source, strings.Join(ids, ", "))))
	}
	file := p.Volumes[o.Target]
	if file == nil {
		var keys []string
		for k := range p.Volumes {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return cannot(errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the file has no volume %s (it has %s)", o.Target, orNone(keys))))
	}
	to, config := file.Name, bundle.Volume(p.Name, desire.Volume(o.Target, file))
	switch {
	case file.External:
		return cannot(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("volume %s is external: it is not this project's to change", o.Target)))
	case to == ids[0]:
		return cannot(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("it is volume %s itself", to)))
	}
	if err := volume.Copyable(config); err != nil {
		return cannot(fmt.Errorf("volume %s: %w", to, err))
	}
	have, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return err
	}
	if !o.Replace && slices.ContainsFunc(have, func(s volume.State) bool { return s.Config.ID == to }) {
		return cannot(errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("there is a volume %s; with --replace what is in it goes", to)))
	}
	unused := func() error {
		users, err := a.activeUsers(ctx, p.Name, []string{to})
		if err == nil && len(users.list) > 0 {
			err = cannot(errdefs.With(errdefs.ErrConflict, fmt.Errorf("what has volume %s runs: %s; stop it first", to, users.names())))
		}
		return err
	}
	if err := unused(); err != nil {
		return err
	}
	return a.tellVolumes(p.Name, []string{to}, "Cloning", "Cloned from "+ids[0], sink, func() error {
		return a.whilePaused(ctx, []string{ids[0], to}, func(ctx context.Context) error {
			if err := unused(); err != nil { // nobody can start one any more
				return err
			}
			return a.drivers.Volumes.Clone(ctx, ids[0], config)
		})
	})
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// volumePass is pass for who changes volumes of project that others may have too: nobody removes one, or makes a container without a file with one, meanwhile.
func (a *Archive) volumePass(ctx context.Context, project string) (release func(), err error) {
	first, err := a.loop.Pass(ctx, project)
	if err != nil {
		return nil, err
	}
	second, err := a.loop.Turn(ctx, resource.VolumeTurn)
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// chosenVolumes are the names of volumes of project that texts mean: keys of the file, names, services. None = all that can be copied, of which there must be one.
func (a *Archive) chosenVolumes(ctx context.Context, project string, texts []string) ([]string, error) {
	have, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := a.lists.Volumes(ctx, project)
	if err != nil {
		return nil, err
	}
	why := map[string]error{}
	for _, s := range have {
		why[s.Config.ID] = volume.Copyable(s.Config)
	}
	var ids, refused []string
	take := func(id string, named bool) error {
		switch err := why[id]; {
		case err == nil:
			ids = append(ids, id)
		case named:
			return fmt.Errorf("volume %s: %w", id, err)
		default:
			refused = append(refused, fmt.Sprintf("%s: %v", id, err))
		}
		return nil
	}
	for _, text := range texts {
		var found []string
		for _, row := range rows {
			if row.Name == text || row.Labels[label.Volume] == text {
				found = append(found, row.Name)
			}
		}
		if len(found) == 0 {
			for _, row := range rows {
				if slices.Contains(row.Services, text) {
					found = append(found, row.Name)
				}
			}
		}
		if len(found) == 0 {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("project %s has no volume %s, and no service of that name has one", project, text))
		}
		for _, id := range found {
			if err := take(id, true); err != nil {
				return nil, err
			}
		}
	}
	if len(texts) == 0 {
		for _, row := range rows {
			if err := take(row.Name, false); err != nil {
				return nil, err
			}
		}
	}
	if len(ids) == 0 {
		err := errors.New("it has no volumes of its own")
		if len(refused) > 0 {
			err = errors.New(strings.Join(refused, "; "))
		}
		return nil, errdefs.With(errdefs.ErrNotFound, err)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// tellVolumes tells of do for each of ids.
func (a *Archive) tellVolumes(project string, ids []string, working, done string, sink event.Sink, do func() error) error {
	say := func(phase event.Phase, text, detail string) {
		for _, id := range ids {
			a.hub.Say(sink, event.Event{Project: project, Kind: "volume", Name: id, Phase: phase, Text: text, Detail: detail})
		}
	}
	say(event.Working, working, "")
	if err := do(); err != nil {
		say(event.Failed, "Error", err.Error())
		return err
	}
	say(event.Done, done, "")
	return nil
}
