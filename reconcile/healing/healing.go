// Package healing repairs a project: it reads what users have asked for (package wish), looks at the host, plans,
// carries the plan out, and reports the result. Package loop says when.
package healing

import (
	"context"
	"log/slog"
	"sync"

	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
)

// Healer heals projects: it is the loop's. Safe for concurrent use; one heals a project at a time, who has its turn.
type Healer struct {
	drivers  driver.Set
	hub      *event.Hub
	log      *slog.Logger
	loop     *loop.Loop
	wishes   *wish.Book
	planner  *planning.Planner
	kit      *performer.Kit
	keep     *lifecycle.Keeper
	roster   *roster.Roster
	group    *supervise.Group
	memory   *chronicle.Chronicle
	commands Commands

	seen views // of the one who scans

	mu        sync.Mutex
	postponed map[string][]string // by project: containers that are their policy's once the command that was cut short has ended
}

// Options of New.
type Options struct {
	Drivers  driver.Set
	Hub      *event.Hub
	Log      *slog.Logger
	Loop     *loop.Loop
	Wishes   *wish.Book
	Planner  *planning.Planner
	Kit      *performer.Kit
	Keep     *lifecycle.Keeper
	Roster   *roster.Roster
	Commands Commands
}

// New has looked at nothing yet.
func New(o Options) *Healer {
	return &Healer{
		drivers: o.Drivers, hub: o.Hub, log: o.Log, loop: o.Loop, wishes: o.Wishes, planner: o.Planner, kit: o.Kit, keep: o.Keep, roster: o.Roster,
		group: o.Keep.Group, memory: o.Keep.Memory, commands: o.Commands,
	}
}

// Commands carries to their end those that a daemon which is no more has begun.
type Commands interface {
	// Resume does what is left of pass, of project. Precondition: its turn is held.
	Resume(ctx context.Context, project string, pass *wish.Pass) error
}
