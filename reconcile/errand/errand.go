// Package errand carries out the commands on existing containers that need no file: start, stop and restart. It also
// stops containers for the time that somebody works on their volumes. Each command is a plan, and is on record before
// its first change.
package errand

import (
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/preflight"
	"github.com/stackrun/stack/reconcile/wish"
)

// Errands are done with these. Safe for concurrent use.
type Errands struct {
	drivers driver.Set
	loop    *loop.Loop
	wishes  *wish.Book
	kit     *performer.Kit
	keep    *lifecycle.Keeper
	waits   *await.Waiter
	memory  *chronicle.Chronicle
	look    *preflight.Inspector
	planner *planning.Planner
}

// Options of New.
type Options struct {
	Drivers driver.Set
	Loop    *loop.Loop
	Wishes  *wish.Book
	Kit     *performer.Kit
	Keep    *lifecycle.Keeper
	Waits   *await.Waiter
	Memory  *chronicle.Chronicle
	Look    *preflight.Inspector // before something is changed
	Planner *planning.Planner
}

// New are those on the containers of o.Drivers.
func New(o Options) *Errands {
	return &Errands{drivers: o.Drivers, loop: o.Loop, wishes: o.Wishes, kit: o.Kit, keep: o.Keep, waits: o.Waits, memory: o.Memory, look: o.Look, planner: o.Planner}
}
