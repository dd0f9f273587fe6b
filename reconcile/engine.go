package reconcile

import (
	"context"
	"errors"
	"log/slog"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/access"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/errand"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/gate"
	"github.com/stackrun/stack/reconcile/healing"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/naming"
	"github.com/stackrun/stack/reconcile/oneoff"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/planning"
	"github.com/stackrun/stack/reconcile/ports"
	"github.com/stackrun/stack/reconcile/preflight"
	"github.com/stackrun/stack/reconcile/removal"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/reconcile/snapshot"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wiring"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/runtime/caps"
)

// Options of New.
type Options struct {
	Roots     roots.Roots
	Store     driver.Store
	Version   string       // of the program; a saved plan names it
	History   *book.Book   // nil = none is kept
	Log       *slog.Logger // what it does of itself; nil = nowhere
	NoHealing bool         // nothing is put right that nobody asks for
	Boot      string       // tells this boot of the host from others; "" = the kernel says
	Offline   bool         // nothing is fetched, whoever asks for it
	StoreLost bool         // Store is a new one in place of one that was damaged: what is on the host and belongs to no file is wanted
	Worked    func()       // called after each thing that it has done of itself, a look at the host included; nil = nobody is told
}

// Engine makes the host what the files say and keeps it so. One pass at a time per project; projects side by side. Its methods
// are safe for concurrent use.
//
// It is made of parts, each with its own state and lock, and has the verbs that act on projects. What it knows of the host it reads from the host
// (package inventory); in memory are only the supervisors of what runs, and what the loop has tried.
//
// Lock order: a project's turn (loop), then a container's lock (lifecycle), then supervise's own, then the small ones of the parts, in which nobody is called. See
// docs/adr/0073-the-walls-of-the-engine.md.
type Engine struct {
	*access.Access    // of the containers of services
	*errand.Errands   // start, stop, restart
	*oneoff.Runner    // run
	*removal.Remover  // of projects
	*snapshot.Archive // of volumes

	drivers   driver.Set
	roots     roots.Roots
	store     driver.Store
	group     *supervise.Group
	loop      *loop.Loop // whose turn it is
	log       *slog.Logger
	hub       *event.Hub
	gate      gate.Gate            // turns and locks are behind it
	images    *images.Images       // of projects
	preflight *preflight.Inspector // of plans
	keep      *lifecycle.Keeper    // of containers
	healing   *healing.Healer      // of projects
	planner   *planning.Planner    // of files and this host
	singles   *single.Containers
	kit       *performer.Kit       // of passes
	waits     *await.Waiter        // for containers
	memory    *chronicle.Chronicle // of how containers came to run
	networks  *resource.Networks
	volumes   *resource.Volumes
	output    *output.Reader // of containers
	ports     *ports.Ports   // that projects publish

	life context.Context // ends with Close
	end  context.CancelFunc

	version  string
	identity identity

	wishes  *wish.Book    // what users have asked for of projects
	interim *interim.Book // what a pass under way must remember

	roster *roster.Roster // of the containers that are looked after
}

// New makes an Engine and adopts what runs: containers are supervised again, nothing that is well is restarted, and what an earlier daemon
// left half-made is removed. From then on, beside whatever is asked of it, it keeps the host as users have asked for (loop): what a
// reboot or other hands have ended comes up again.
func New(ctx context.Context, d driver.Set, opt Options) (*Engine, error) {
	if opt.Store == nil {
		return nil, errors.New("cannot start the engine without a store")
	}
	e := &Engine{drivers: d, wishes: wish.Open(opt.Store), interim: interim.Open(opt.Store), hub: new(event.Hub), roots: opt.Roots, store: opt.Store, log: opt.Log, roster: roster.New(),
		version: opt.Version}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.images = images.New(d, opt.Roots, e.hub)
	e.ports = ports.New(d, e.wishes, e.roster)
	alone := standalone.Open(opt.Store, e.log)
	var err error
	boot := opt.Boot
	if boot == "" {
		if boot, err = bootID(); err != nil {
			return nil, err
		}
	}
	if e.identity, err = loadIdentity(opt.Store); err != nil {
		return nil, err
	}
	capabilities, err := caps.Available()
	if err != nil {
		return nil, err
	}
	e.preflight = preflight.New(d, capabilities, e.images, e.ports)
	e.life, e.end = context.WithCancel(context.Background())
	e.loop = loop.New(e.life, &e.gate, healer{e}, loop.Options{Log: e.log, Off: opt.NoHealing, Worked: opt.Worked})
	e.networks = resource.NewNetworks(resource.Options{Drivers: d, Store: opt.Store, Wishes: e.wishes, Hub: e.hub, Log: e.log, Turns: e.loop, Name: e.identity.name(), Lost: opt.StoreLost})
	e.volumes = resource.NewVolumes(d, e.hub, e.loop)
	wires := wiring.New(d, e.networks, e.roster)
	names := naming.New(d, e.roster, &e.gate)
	e.keep = lifecycle.New(lifecycle.Options{
		Drivers: d, Roots: opt.Roots, Store: opt.Store, Hub: e.hub, Log: e.log, Life: e.life, Gate: &e.gate, Capabilities: capabilities, Turns: e.loop, Roster: e.roster,
		Names: names, Wiring: wires, Volumes: e.volumes, Wishes: e.wishes, Alone: alone, Interim: e.interim, History: opt.History,
	})
	e.group, e.waits, e.memory = e.keep.Group, e.keep.Waits, e.keep.Memory
	e.kit = performer.NewKit(performer.Options{Drivers: d, Roots: opt.Roots, Hub: e.hub, Images: e.images, Networks: e.networks, Volumes: e.volumes, Keep: e.keep, Wishes: e.wishes, Interim: e.interim})
	e.planner = planning.New(planning.Options{Drivers: d, Wishes: e.wishes, Interim: e.interim, Ports: e.ports, Images: e.images, Preflight: e.preflight, Keep: e.keep, Names: names, Offline: opt.Offline})
	e.healing = healing.New(healing.Options{
		Drivers: d, Hub: e.hub, Log: e.log, Loop: e.loop, Wishes: e.wishes, Planner: e.planner, Kit: e.kit, Keep: e.keep, Roster: e.roster, Commands: resumer{e},
	})
	e.Errands = errand.New(errand.Options{Drivers: d, Loop: e.loop, Wishes: e.wishes, Kit: e.kit, Keep: e.keep, Waits: e.waits, Memory: e.memory, Look: e.preflight, Planner: e.planner})
	e.Access = access.New(d, e.hub, e.log, e.keep, e.loop)
	e.Archive = snapshot.New(snapshot.Options{Drivers: d, Hub: e.hub, Loop: e.loop, Wishes: e.wishes, Keep: e.keep, Errands: e.Errands, Lists: e.Access})
	e.Runner = oneoff.New(oneoff.Options{
		Drivers: d, Roots: opt.Roots, Hub: e.hub, Loop: e.loop, Planner: e.planner, Preflight: e.preflight, Images: e.images, Kit: e.kit, Keep: e.keep, Up: upper{e},
	})
	e.Remover = removal.New(removal.Options{
		Drivers: d, Hub: e.hub, Loop: e.loop, Wishes: e.wishes, Interim: e.interim, Keep: e.keep, Networks: e.networks, Volumes: e.volumes, Memory: e.memory, Roster: e.roster,
		Snapshots: e.Archive,
	})
	e.singles = single.New(single.Options{
		Drivers: d, Hub: e.hub, Log: e.log, Life: e.life, Boot: boot, Lost: opt.StoreLost, Turns: e.loop, Keep: e.keep, Wiring: wires, Networks: e.networks, Volumes: e.volumes,
		Wishes: e.wishes, Alone: alone, Roster: e.roster, Names: names,
	})
	e.output = output.New(d, e.hub, e.group, e.loop)
	err = e.networks.Adopt(ctx) // containers are on them
	if err == nil {
		err = e.adopt(ctx)
	}
	if err != nil {
		e.stopWatching()
		return nil, err
	}
	if !opt.NoHealing {
		e.loop.Start(map[string]loop.Watch{"networks": d.Networks.Watch, "volumes": d.Volumes.Watch, "containers": d.Containers.Watch})
	}
	events := d.Containers.Events(e.life)
	e.keep.Go(func() { e.tellLogs(events) })
	return e, nil
}

// Close stops supervising and returns when no pass is under way, or with ctx. Containers run on.
func (e *Engine) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		e.stopWatching()
		e.hub.Close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stopWatching ends what goes on without a caller.
func (e *Engine) stopWatching() {
	e.end()
	e.loop.Stop()
	e.group.Close() // nobody begins to follow after it
	e.keep.Wait()
}

// Idle says that nothing needs a daemon: no request is in flight, no container runs, none waits to be restarted or healed, no log is on its way.
func (e *Engine) Idle() bool { return e.group.Active() == 0 && e.loop.Idle() && e.keep.Forward.Idle() }

// Events delivers what happens to project ("" = to any) until ctx ends or the time that o says; then the channel is closed. A zero Since means from now
// on; what an earlier daemon has seen is not remembered.
func (e *Engine) Events(ctx context.Context, project string, o event.Window) <-chan event.Event {
	return e.hub.Subscribe(ctx, project, o)
}
