package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/label"
)

// ErrUnseen is the kind of error of a look at the host that could not be made. Nothing follows from it, and another may succeed.
var ErrUnseen = errors.New("the host cannot be looked at")

// List are the containers of project ("" = all, those of no project too) by service, number and name.
func List(ctx context.Context, d driver.Set, project string) ([]*Container, error) {
	return selectContainers(ctx, d, func(l map[string]string) bool { return project == "" || l[label.Project] == project })
}

// ListService is List for one service: nothing is read of the others.
func ListService(ctx context.Context, d driver.Set, project, service string) ([]*Container, error) {
	return selectContainers(ctx, d, func(l map[string]string) bool { return l[label.Project] == project && l[label.Service] == service })
}

func selectContainers(ctx context.Context, d driver.Set, which func(labels map[string]string) bool) ([]*Container, error) {
	states, err := d.Containers.Select(ctx, which)
	if err != nil {
		return nil, errdefs.With(ErrUnseen, err)
	}
	var found []*Container
	for _, s := range states {
		if c, ok := Read(s); ok {
			found = append(found, c)
		}
	}
	pairUp(found)
	slices.SortFunc(found, func(a, b *Container) int {
		return cmp.Or(strings.Compare(a.Project, b.Project), strings.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), order(a.Spare, b.Spare), strings.Compare(a.Name, b.Name))
	})
	return found, nil
}

// ByID reads one container. ErrNotFound when it is none of ours.
func ByID(ctx context.Context, d driver.Set, id string) (*Container, error) {
	s, err := d.Containers.State(ctx, id)
	if err != nil {
		return nil, err
	}
	c, ok := Read(s)
	if !ok {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("container %s is not one of a project", objectid.Short(id)))
	}
	return c, nil
}

// VolumeUsers are, by volume, those of list that have it, as name says.
func VolumeUsers(list []*Container, name func(*Container) string) map[string][]string {
	users := map[string][]string{}
	for _, c := range list {
		for _, m := range c.Spec.Mounts {
			if m.Type == "volume" {
				users[m.Source] = append(users[m.Source], name(c))
			}
		}
		for _, volume := range c.Anonymous {
			users[volume] = append(users[volume], name(c))
		}
	}
	return users
}

// ByRef finds the container that ref means: an id, a name with or without docker's slash, or the beginning of one id.
func ByRef(ctx context.Context, d driver.Set, ref string) (*Container, error) {
	ref = strings.TrimPrefix(ref, "/")
	if len(ref) == 64 {
		c, err := ByID(ctx, d, ref)
		if err == nil || !errors.Is(err, errdefs.ErrNotFound) && !errors.Is(err, errdefs.ErrInvalidArgument) {
			return c, err
		}
	}
	list, err := List(ctx, d, "")
	if err != nil {
		return nil, err
	}
	return PickByRef(list, ref)
}

// PickByRef is ByRef among list.
func PickByRef(list []*Container, ref string) (*Container, error) {
	var found []*Container
	for _, c := range list {
		switch {
		case c.ID == ref || c.RowName() == ref:
			return c, nil
		case ref != "" && strings.HasPrefix(c.ID, ref):
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("No such container: %s", ref)) //nolint:staticcheck // docker's sentence, which clients look for
	case 1:
		return found[0], nil
	}
	return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("multiple IDs found with provided prefix: %s", ref))
}

// Sandboxes are the networks of containers, by their ids.
func Sandboxes(ctx context.Context, d driver.Set) (map[string]network.Sandbox, error) {
	boxes, err := d.Networks.Sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	byID := map[string]network.Sandbox{}
	for _, b := range boxes {
		byID[b.ContainerID] = b
	}
	return byID, nil
}

// Serves says whether a container of service runs.
func Serves(all []*Container, service string) bool {
	return slices.ContainsFunc(all, func(o *Container) bool {
		return o.Service == service && !o.OneOff && o.Alive()
	})
}
