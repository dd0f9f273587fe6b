package access

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/reference"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
)

// Images lists the images of project's containers, of every state, one-offs too, by the container's name.
func (a *Access) Images(ctx context.Context, project string) ([]ask.ContainerImage, error) {
	list, err := inventory.List(ctx, a.drivers, project)
	if err != nil {
		return nil, err
	}
	have, err := a.drivers.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	byID := map[string]image.Info{}
	for _, i := range have {
		byID[i.ID.String()] = i
	}
	out := []ask.ContainerImage{}
	for _, c := range list {
		row := ask.ContainerImage{Container: c.RowName(), Service: c.Service, Ref: c.Spec.Image, ID: c.Image}
		if ref, err := reference.Parse(row.Ref); err == nil {
			row.Repository = reference.Reference{Host: ref.Host, Repo: ref.Repo}.Familiar()
			if !ref.HasDigest() {
				row.Tag = ref.Tag
			}
		}
		if i, ok := byID[row.ID]; ok {
			row.Platform = path.Join(i.Platform.OS, i.Platform.Architecture, i.Platform.Variant)
			row.Size, row.Created, row.PulledAt = i.Size, i.Created, i.PulledAt
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b ask.ContainerImage) int { return strings.Compare(a.Container, b.Container) })
	return out, nil
}

// Volumes lists the volumes that were made for project, by name. An external one is not the project's.
func (a *Access) Volumes(ctx context.Context, project string) ([]ask.Volume, error) {
	list, err := inventory.List(ctx, a.drivers, project)
	if err != nil {
		return nil, err
	}
	users := inventory.VolumeUsers(list, func(c *inventory.Container) string { return c.Service })
	have, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	out := []ask.Volume{}
	for _, v := range have {
		if v.Config.Labels[label.Project] != project {
			continue
		}
		row := ask.Volume{Name: v.Config.ID, Driver: v.Config.Driver, Path: v.Path, Labels: maps.Clone(v.Config.Labels), Anonymous: v.Config.Anonymous}
		delete(row.Labels, label.Want) // our record, for nobody to read
		row.Services = append([]string{}, users[v.Config.ID]...)
		slices.Sort(row.Services)
		row.Services = slices.Compact(row.Services)
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b ask.Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
