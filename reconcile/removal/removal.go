// Package removal takes projects down: containers, in the reverse order of their dependencies, then networks, and
// whatever else the caller asks for.
package removal

import (
	"context"

	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/wish"
)

// Remover takes projects away. Safe for concurrent use.
type Remover struct {
	drivers   driver.Set
	hub       *event.Hub
	loop      *loop.Loop
	wishes    *wish.Book
	interim   *interim.Book
	keep      *lifecycle.Keeper
	networks  *resource.Networks
	volumes   *resource.Volumes
	memory    *chronicle.Chronicle
	roster    *roster.Roster
	snapshots Snapshots
}

// Snapshots stay when a project goes. *snapshot.Archive has them.
type Snapshots interface {
	// TellSnapshots says to sink which of project there are.
	TellSnapshots(ctx context.Context, project string, sink event.Sink) error
}

// Options of New.
type Options struct {
	Drivers   driver.Set
	Hub       *event.Hub
	Loop      *loop.Loop
	Wishes    *wish.Book
	Interim   *interim.Book
	Keep      *lifecycle.Keeper
	Networks  *resource.Networks
	Volumes   *resource.Volumes
	Memory    *chronicle.Chronicle
	Roster    *roster.Roster
	Snapshots Snapshots
}

// New is that of the projects on o.Drivers.
func New(o Options) *Remover {
	return &Remover{
		drivers: o.Drivers, hub: o.Hub, loop: o.Loop, wishes: o.Wishes, interim: o.Interim, keep: o.Keep, networks: o.Networks, volumes: o.Volumes, memory: o.Memory, roster: o.Roster,
		snapshots: o.Snapshots,
	}
}
