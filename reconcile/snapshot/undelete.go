package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/volume"
)

// RemovedVolumes are the volumes of project that were removed and can be brought back, the latest first.
func (a *Archive) RemovedVolumes(ctx context.Context, project string) ([]ask.RemovedVolume, error) {
	all, err := a.removed(ctx, project)
	out := []ask.RemovedVolume{}
	for _, r := range all {
		out = append(out, ask.RemovedVolume{Name: r.Config.ID, Key: r.Config.Labels[label.Volume], RemovedAt: r.RemovedAt, Until: r.Until})
	}
	return out, err
}

func (a *Archive) removed(ctx context.Context, project string) ([]volume.Removed, error) {
	all, err := a.drivers.Volumes.Removed(ctx)
	return slices.DeleteFunc(all, func(r volume.Removed) bool { return r.Config.Labels[label.Project] != project }), err
}

// UndeleteVolumes brings volumes of project back, named by their key in the file or their name, as they were when they were last removed. None is
// brought back when one of them is not there or has a successor.
func (a *Archive) UndeleteVolumes(ctx context.Context, project string, names []string, sink event.Sink) error {
	release, err := a.volumePass(ctx, project)
	if err != nil {
		return err
	}
	defer release()
	all, err := a.removed(ctx, project)
	if err != nil {
		return err
	}
	have, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, name := range names {
		i := slices.IndexFunc(all, func(r volume.Removed) bool { return r.Config.ID == name || r.Config.Labels[label.Volume] == name })
		if i < 0 {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot bring back volume %s: none of that name of project %s is kept (`stack volumes removed` lists them; the key keep-removed-volumes of the daemon's configuration says for how long they are)", name, project))
		}
		id := all[i].Config.ID
		if slices.ContainsFunc(have, func(s volume.State) bool { return s.Config.ID == id }) {
			return errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot bring back volume %s: there is a volume %s now; remove it first (`stack down --volumes`)", name, id))
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := a.tellVolumes(project, []string{id}, "Bringing back", "Back", sink, func() error { return a.drivers.Volumes.Undelete(ctx, id) }); err != nil {
			return err
		}
	}
	return nil
}
