package reconcile

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/image"
)

// ContainerImage is a row of images: what a container was made from. Of an image that is not here any more only ID and Ref are known.
type ContainerImage struct {
	Container string    `json:"container"`
	Service   string    `json:"service"`
	Ref       string    `json:"ref"` // as the file names it
	ID        string    `json:"id"`
	Platform  string    `json:"platform,omitempty"`
	Size      int64     `json:"size,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	PulledAt  time.Time `json:"pulledAt,omitzero"`
}

// Images lists the images of project's containers, of every state, one-offs too, by the container's name.
func (e *Engine) Images(ctx context.Context, project string) ([]ContainerImage, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	have, err := e.drivers.Images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list images: %w", err)
	}
	byID := map[string]image.Info{}
	for _, i := range have {
		byID[i.ID.String()] = i
	}
	out := []ContainerImage{}
	for _, c := range list {
		row := ContainerImage{Container: c.rowName(), Service: c.service, Ref: c.spec.Image, ID: c.image}
		if i, ok := byID[row.ID]; ok {
			row.Platform = path.Join(i.Platform.OS, i.Platform.Architecture, i.Platform.Variant)
			row.Size, row.Created, row.PulledAt = i.Size, i.Created, i.PulledAt
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b ContainerImage) int { return strings.Compare(a.Container, b.Container) })
	return out, nil
}

// Volume is a row of volumes.
type Volume struct {
	Name      string            `json:"name"`
	Driver    string            `json:"driver"`
	Path      string            `json:"path"`
	Labels    map[string]string `json:"labels"`
	Services  []string          `json:"services"` // whose containers have it, sorted
	Anonymous bool              `json:"anonymous,omitempty"`
}

// volumeUsers are, by volume, those of list that have it, as name says.
func volumeUsers(list []*container, name func(*container) string) map[string][]string {
	users := map[string][]string{}
	for _, c := range list {
		for _, m := range c.spec.Mounts {
			if m.Type == "volume" {
				users[m.Source] = append(users[m.Source], name(c))
			}
		}
		for _, volume := range c.anonymous {
			users[volume] = append(users[volume], name(c))
		}
	}
	return users
}

// Volumes lists the volumes that were made for project, by name. An external one is not the project's.
func (e *Engine) Volumes(ctx context.Context, project string) ([]Volume, error) {
	list, err := listContainers(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	users := volumeUsers(list, func(c *container) string { return c.service })
	have, err := e.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	out := []Volume{}
	for _, v := range have {
		if v.Config.Labels[labelProject] != project {
			continue
		}
		row := Volume{Name: v.Config.ID, Driver: v.Config.Driver, Path: v.Path, Labels: maps.Clone(v.Config.Labels), Anonymous: v.Config.Anonymous}
		delete(row.Labels, labelWant) // our record, for nobody to read
		row.Services = append([]string{}, users[v.Config.ID]...)
		slices.Sort(row.Services)
		row.Services = slices.Compact(row.Services)
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b Volume) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
