// Package single acts on one container, which is named by its id, the beginning of its id, or its name. The container
// may be of a project or of none. It also makes the containers that belong to no file.
//
// Called by api/docker/containers. May touch the host through the drivers and package lifecycle, and the records of
// containers without a file in the store.
package single

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/execs"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wiring"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime"
)

// Containers are for those who mean one container, by its id, the beginning of it, or its name, and not a service of a project: the Docker Engine API. Containers that belong to
// no file (docs/adr/0068-containers-without-a-file.md) are made here only; on one of a project each verb does what that of the project does, to that container alone.
//
// Errors: ErrNotFound, ErrConflict and so on, as errdefs has them; their texts name the container. Safe for concurrent use.
type Containers struct {
	drivers  driver.Set
	hub      *event.Hub
	log      *slog.Logger
	life     context.Context
	boot     string
	lost     bool
	turns    Turns
	keep     *lifecycle.Keeper
	wiring   *wiring.Wiring
	networks *resource.Networks
	volumes  *resource.Volumes
	wishes   *wish.Book
	alone    *standalone.Book
	roster   *roster.Roster
	names    *naming.Names
	group    *supervise.Group

	*execs.Commands // the commands that clients run in them
}

// Options of New.
type Options struct {
	Drivers  driver.Set
	Hub      *event.Hub
	Log      *slog.Logger
	Life     context.Context // what goes on without a caller ends with it
	Boot     string          // of the host
	Lost     bool            // the records are new ones in place of some that were damaged
	Turns    Turns
	Keep     *lifecycle.Keeper
	Wiring   *wiring.Wiring
	Networks *resource.Networks
	Volumes  *resource.Volumes
	Wishes   *wish.Book
	Alone    *standalone.Book
	Roster   *roster.Roster
	Names    *naming.Names
}

// Turns says whose turn it is. *loop.Loop does.
type Turns interface {
	// Enter counts a request in flight.
	Enter() (leave func())
	// Turn waits for the turn that is called so.
	Turn(ctx context.Context, name string) (release func(), err error)
	// Pass is Turn of a project for a command.
	Pass(ctx context.Context, project string) (release func(), err error)
	// Pardon forgets what was tried for a project by healing.
	Pardon(project string)
}

// New are the containers of o.drivers.
func New(o Options) *Containers {
	return &Containers{
		drivers: o.Drivers, hub: o.Hub, log: o.Log, life: o.Life, boot: o.Boot, lost: o.Lost, turns: o.Turns, keep: o.Keep, wiring: o.Wiring, networks: o.Networks,
		volumes: o.Volumes, wishes: o.Wishes, alone: o.Alone, roster: o.Roster, names: o.Names, group: o.Keep.Group,
		Commands: execs.New(execs.Options{Drivers: o.Drivers, Enter: o.Turns.Enter, Go: o.Keep.Go, Life: o.Life}),
	}
}

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
func (cs *Containers) Inspect(ctx context.Context, ref string) (Detail, error) {
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return Detail{}, err
	}
	boxes, err := inventory.Sandboxes(ctx, cs.drivers)
	if err != nil {
		return Detail{}, err
	}
	d := cs.detail(c, boxes[c.ID])
	if info, err := inventory.Image(ctx, cs.drivers, c.Image, ""); err == nil { // it may have been removed by force
		d.ImageConfig = info.Config
	}
	if d.NetworkIDs, err = cs.networks.IDs(ctx); err != nil {
		return d, err
	}
	d.Volumes, err = cs.volumePaths(ctx)
	return d, err
}

// List is every container that there is, of projects and of none.
func (cs *Containers) List(ctx context.Context) ([]Detail, error) {
	list, err := inventory.List(ctx, cs.drivers, "")
	if err != nil {
		return nil, err
	}
	boxes, err := inventory.Sandboxes(ctx, cs.drivers)
	if err != nil {
		return nil, err
	}
	volumes, err := cs.volumePaths(ctx)
	if err != nil {
		return nil, err
	}
	networks, err := cs.networks.IDs(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Detail, 0, len(list))
	for _, c := range list {
		d := cs.detail(c, boxes[c.ID])
		d.Volumes, d.NetworkIDs = volumes, networks
		out = append(out, d)
	}
	return out, nil
}

// volumePaths says by name where volumes are.
func (cs *Containers) volumePaths(ctx context.Context) (map[string]string, error) {
	all, err := cs.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	paths := map[string]string{}
	for _, v := range all {
		paths[v.Config.ID] = v.Path
	}
	return paths, nil
}

func (cs *Containers) detail(c *inventory.Container, box network.Sandbox) Detail {
	d := Detail{Container: inventory.Row(c, box, cs.keep.StatusOf(c)), Spec: c.Spec, Standalone: c.Alone, ImageID: c.Image, Config: c.Config, Sandbox: box, Anonymous: c.Anonymous}
	if c.Exposed != "" {
		d.Exposed = strings.Split(c.Exposed, ",")
	}
	if s, ok := cs.group.Status(c.ID); ok {
		d.Failing = s.Failing
	}
	d.Restarting = d.State == "restarting"
	d.Execs = cs.Commands.Execs(c.ID)
	return d
}
