package fake

import (
	"context"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/volume"
)

// kept is a snapshot with what was in its volumes.
type kept struct {
	volume.Snapshot
	content map[string]string
}

func (v *volumes) Snapshot(ctx context.Context, project, name string, ids []string) (s volume.Snapshot, err error) {
	err = v.host().do(ctx, "Volumes.Snapshot", func() error {
		key := project + "/" + name
		if _, there := v.kept[key]; there {
			return errdefs.With(errdefs.ErrAlreadyExists, conflict("there is a snapshot %s", name))
		}
		k := kept{volume.Snapshot{Project: project, Name: name}, map[string]string{}}
		for _, id := range ids {
			have, ok := v.volumes[id]
			if !ok {
				return notFound("volume %s does not exist", id)
			}
			if err := volume.Copyable(have.Config); err != nil {
				return err
			}
			k.Volumes = append(k.Volumes, have.Config)
			k.content[id] = v.Content[id]
		}
		if v.kept == nil {
			v.kept = map[string]kept{}
		}
		v.kept[key], s = k, k.Snapshot
		return nil
	})
	return s, err
}

func (v *volumes) Snapshots(context.Context) ([]volume.Snapshot, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := []volume.Snapshot{}
	for _, key := range slices.Sorted(maps.Keys(v.kept)) {
		all = append(all, v.kept[key].Snapshot)
	}
	return all, nil
}

func (v *volumes) DeleteSnapshot(ctx context.Context, project, name string) error {
	return v.host().do(ctx, "Volumes.DeleteSnapshot", func() error {
		delete(v.kept, project+"/"+name)
		return nil
	})
}

func (v *volumes) Restore(ctx context.Context, project, name string, ids []string) error {
	return v.host().do(ctx, "Volumes.Restore", func() error {
		k, ok := v.kept[project+"/"+name]
		if !ok {
			return notFound("project %s has no snapshot %s", project, name)
		}
		for _, id := range ids {
			i := slices.IndexFunc(k.Volumes, func(c volume.Config) bool { return c.ID == id })
			if i < 0 {
				return notFound("snapshot %s does not have volume %s", name, id)
			}
			v.become(k.Volumes[i], k.content[id])
		}
		return nil
	})
}

func (v *volumes) Clone(ctx context.Context, from string, to volume.Config) error {
	return v.host().do(ctx, "Volumes.Clone", func() error {
		if _, ok := v.volumes[from]; !ok {
			return notFound("volume %s does not exist", from)
		}
		v.become(to, v.Content[from])
		return nil
	})
}

// Removed are none: nothing is kept, as on a host that is configured so.
func (v *volumes) Removed(context.Context) ([]volume.Removed, error) {
	return []volume.Removed{}, nil
}

func (v *volumes) Undelete(ctx context.Context, id string) error {
	return v.host().do(ctx, "Volumes.Undelete", func() error { return notFound("volume %s is not kept", id) })
}

// become gives a volume, which is made if it is not there, its content.
func (v *volumes) become(c volume.Config, content string) {
	if _, there := v.volumes[c.ID]; !there {
		v.volumes[c.ID] = volume.State{Config: c, Path: "/fake/volumes/" + c.ID}
	}
	if v.Content == nil {
		v.Content = map[string]string{}
	}
	v.Content[c.ID] = content
}
