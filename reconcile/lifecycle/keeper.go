// Package lifecycle is the life of one container, of a project or of none: it is created, started (with the steps
// before and the hooks after), supervised while it runs, mended, stopped (with the hooks before) and removed. Keeper
// has these verbs and the lock of each container.
//
// Called by the engine and by the packages that carry out commands. May touch the host through the drivers, and the
// directories of logs and of notes on creations below the roots.
package lifecycle

import (
	"context"
	"log/slog"
	"sync"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/forward"
	"github.com/stackrun/stack/reconcile/gate"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wiring"
	"github.com/stackrun/stack/reconcile/wish"
)

// Keeper starts, stops, makes and removes containers, one at a time, and looks after those that run: it is their supervisors' Runner. It keeps no record of what
// users have asked for; who calls it does that before. Safe for concurrent use.
//
// Of one container only one thing is done at a time: whoever changes it holds its lock, by its id. No lock is held while a hook runs.
type Keeper struct {
	drivers      driver.Set
	roots        roots.Roots
	store        driver.Store
	hub          *event.Hub
	log          *slog.Logger
	life         context.Context
	capabilities []string
	turns        Turns
	roster       *roster.Roster
	names        *naming.Names
	wiring       *wiring.Wiring
	volumes      *resource.Volumes
	wishes       *wish.Book
	alone        *standalone.Book
	interim      *interim.Book

	Locks   *gate.Locks      // of containers, by id
	Mounted gate.Directories // what containers that start have mounted; who holds one of them has its container's lock already
	Group   *supervise.Group // of those that run
	Waits   *await.Waiter
	Memory  *chronicle.Chronicle // of how they came to run
	Callers callers              // who waits for a start
	Forward *forward.Forwarder   // of their logs
	follows sync.WaitGroup
}

// Options of New.
type Options struct {
	Drivers      driver.Set
	Roots        roots.Roots
	Store        driver.Store // of what is paused for a moment
	Hub          *event.Hub
	Log          *slog.Logger
	Life         context.Context // what goes on without a caller ends with it
	Gate         *gate.Gate      // of the locks
	Capabilities []string        // that this process can give
	Turns        Turns
	Roster       *roster.Roster
	Names        *naming.Names
	Wiring       *wiring.Wiring
	Volumes      *resource.Volumes
	Wishes       *wish.Book
	Alone        *standalone.Book
	Interim      *interim.Book
	History      *book.Book // may be nil
}

// Turns says whose turn it is. *loop.Loop does.
type Turns interface {
	// Glance takes the turn of project for who has little to do.
	Glance(ctx context.Context, project string) (release func(), err error)
	// Kick has project looked at soon.
	Kick(project string)
}

// New looks after nobody yet.
func New(o Options) *Keeper {
	k := &Keeper{
		drivers: o.Drivers, roots: o.Roots, store: o.Store, hub: o.Hub, log: o.Log, life: o.Life, capabilities: o.Capabilities, turns: o.Turns, roster: o.Roster, names: o.Names,
		wiring: o.Wiring, volumes: o.Volumes, wishes: o.Wishes, alone: o.Alone, interim: o.Interim, Locks: o.Gate.Locks(),
	}
	k.Group = supervise.New(runner{k})
	k.Waits = await.New(o.Drivers, o.Hub, k.Group)
	k.Memory = chronicle.New(o.History, o.Hub, k.Group)
	k.Forward = forward.New(forward.Options{Hub: o.Hub, Log: o.Log, Life: o.Life, Go: k.Go, Dir: func(id string) string { return o.Roots.InState("containers", id) }})
	return k
}

// Go does what goes on without a caller. Whoever ends the keeper waits for it.
func (k *Keeper) Go(do func()) { k.follows.Go(do) }

// Wait returns when nothing goes on without a caller. Precondition: life has ended, and the group is closed.
func (k *Keeper) Wait() { k.follows.Wait() }
