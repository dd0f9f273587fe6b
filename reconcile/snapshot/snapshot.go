// Package snapshot has the verbs on the content of volumes: keep it as it is at one moment, restore it, clone it for
// another project, and bring back removed volumes. It pauses or stops the containers that use them meanwhile.
package snapshot

import (
	"context"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/errand"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/wish"
)

// Archive has what was in volumes: snapshots, which are made, given back and removed, copies for another project, and removed volumes, which are brought back.
// Safe for concurrent use.
type Archive struct {
	drivers driver.Set
	hub     *event.Hub
	loop    *loop.Loop
	wishes  *wish.Book
	keep    *lifecycle.Keeper
	errands *errand.Errands
	lists   Lists
}

// Lists knows the volumes of a project. *access.Access does.
type Lists interface {
	// Volumes are those that were made for project, by name.
	Volumes(ctx context.Context, project string) ([]ask.Volume, error)
}

// Options of New.
type Options struct {
	Drivers driver.Set
	Hub     *event.Hub
	Loop    *loop.Loop
	Wishes  *wish.Book
	Keep    *lifecycle.Keeper
	Errands *errand.Errands
	Lists   Lists
}

// New is that of the volumes of o.Drivers.
func New(o Options) *Archive {
	return &Archive{drivers: o.Drivers, hub: o.Hub, loop: o.Loop, wishes: o.Wishes, keep: o.Keep, errands: o.Errands, lists: o.Lists}
}
