package reconcile

import (
	"context"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/runtime"
)

// Single is the engine for those who mean one container, by its id, the beginning of it, or its name, and not a service of a project: the Docker Engine API. Containers that belong to
// no file (docs/adr/0068-containers-without-a-file.md) are made here only; on one of a project each verb does what that of the project does, to that container alone.
//
// Errors: ErrNotFound, ErrConflict and so on, as errdefs has them; their texts name the container. Safe for concurrent use.
type Single struct{ e *Engine }

// Single is e by container.
func (e *Engine) Single() Single { return Single{e} }

// Detail is a container as it is: what there is to show of one.
type Detail struct {
	ask.Container                    // as ps has it; labels as clients see them
	Spec          plan.Spec          // as it was asked for
	Standalone    *standalone.Traits // nil of a container of a project
	ImageID       string
	Config        *runtime.Config // nil when its record cannot be read. Read only
	Sandbox       network.Sandbox // of its network; the zero value when it has none at present
	Anonymous     map[string]string
	Exposed       []string // ports that image and client say it listens on: "443/tcp", "8000-8009/tcp"
	Failing       int      // health checks that have failed in a row
	Restarting    bool
	NetworkIDs    map[string]string // of all networks, by name
	Volumes       map[string]string // by name: where on the host they are
	ImageConfig   v1.Config         // of Inspect: of the image that it was made from, empty when that is gone
	Execs         []string          // ids of the commands that run in it
}

// EndpointID is the id of the container's membership of a network.
func (d *Detail) EndpointID(network string) string {
	return resource.EndpointID(d.NetworkIDs[network], d.ID)
}

// Inspect is everything about one container.
func (s Single) Inspect(ctx context.Context, ref string) (Detail, error) {
	c, err := inventory.ByRef(ctx, s.e.drivers, ref)
	if err != nil {
		return Detail{}, err
	}
	boxes, err := inventory.Sandboxes(ctx, s.e.drivers)
	if err != nil {
		return Detail{}, err
	}
	d := s.e.detail(c, boxes[c.ID])
	if info, err := inventory.Image(ctx, s.e.drivers, c.Image, ""); err == nil { // it may have been removed by force
		d.ImageConfig = info.Config
	}
	if d.NetworkIDs, err = s.e.networks.IDs(ctx); err != nil {
		return d, err
	}
	d.Volumes, err = s.e.volumePaths(ctx)
	return d, err
}

// List is every container that there is, of projects and of none.
func (s Single) List(ctx context.Context) ([]Detail, error) {
	list, err := inventory.List(ctx, s.e.drivers, "")
	if err != nil {
		return nil, err
	}
	boxes, err := inventory.Sandboxes(ctx, s.e.drivers)
	if err != nil {
		return nil, err
	}
	volumes, err := s.e.volumePaths(ctx)
	if err != nil {
		return nil, err
	}
	networks, err := s.e.networks.IDs(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Detail, 0, len(list))
	for _, c := range list {
		d := s.e.detail(c, boxes[c.ID])
		d.Volumes, d.NetworkIDs = volumes, networks
		out = append(out, d)
	}
	return out, nil
}

// volumePaths says by name where volumes are.
func (e *Engine) volumePaths(ctx context.Context) (map[string]string, error) {
	all, err := e.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	paths := map[string]string{}
	for _, v := range all {
		paths[v.Config.ID] = v.Path
	}
	return paths, nil
}

func (e *Engine) detail(c *inventory.Container, box network.Sandbox) Detail {
	d := Detail{Container: inventory.Row(c, box, e.keep.StatusOf(c)), Spec: c.Spec, Standalone: c.Alone, ImageID: c.Image, Config: c.Config, Sandbox: box, Anonymous: c.Anonymous}
	if c.Exposed != "" {
		d.Exposed = strings.Split(c.Exposed, ",")
	}
	if s, ok := e.group.Status(c.ID); ok {
		d.Failing = s.Failing
	}
	d.Restarting = d.State == "restarting"
	d.Execs = e.execs.of(c.ID)
	return d
}
