package lifecycle

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
)

// follow sees to those that live in a pid or ipc namespace of container id, which has just been started: namespaces are made
// anew with each run, so they have to be started anew too. Those of its pid namespace the kernel has killed with it
// (pid_namespaces(7)); those of its ipc namespace run on in one that nobody else is in. The network needs nothing: the sandbox
// outlives the run.
//
// It takes the project's pass, so that nothing is started that somebody is taking down.
func (k *Keeper) follow(id string, s supervise.Status) {
	owner, _ := k.roster.Get(id)
	release, err := k.turns.Glance(k.life, owner.Project) // a healing may be waiting for one of these
	if err != nil {
		return // the engine ends; the next one's adopt comes here again
	}
	defer release()
	list, err := inventory.List(k.life, k.drivers, owner.Project)
	if err != nil {
		k.hub.Say(nil, event.Event{Project: owner.Project, Kind: "container", Name: owner.Name, Service: owner.Service, Phase: event.Warning, Text: "Cannot look for those that share its namespaces", Detail: err.Error()})
		return
	}
	r, err := k.wishes.Of(owner.Project)
	if err != nil || r == nil {
		r = wish.New()
	}
	list = slices.DeleteFunc(list, func(c *inventory.Container) bool {
		return !slices.Contains(c.Owners(), id) || !k.leftBehind(c, s, !c.OneOff && r.Owed().Due(c.Replica(), c.StartedAt) && !r.IsOff(c.Replica()))
	})
	if len(list) == 0 {
		return
	}
	// A daemon that dies between the stop and the start leaves word that they were not stopped for good.
	if err := k.wishes.Change(owner.Project, func(r *wish.Record) {
		owed := plan.Debts{}
		for _, c := range list {
			if !c.OneOff && !r.IsOff(c.Replica()) {
				owed[c.Replica()] = plan.Debt{Run: c.StartedAt}
			}
		}
		r.Owe(owed)
	}); err != nil {
		k.log.Warn("cannot record who is started again", "project", owner.Project, "error", err)
	}
	var paid []*inventory.Container
	for _, c := range list {
		ev := event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: event.Done, Text: "Restarted",
			Detail: "it lives in a namespace of " + owner.Name + ", which has been started again"}
		if err := k.again(c); err != nil {
			ev.Phase, ev.Text, ev.Detail = event.Warning, "Not restarted", err.Error()
		} else {
			k.Memory.NoteRestart(c.ID, ev.Detail)
			paid = append(paid, c)
		}
		k.hub.Say(nil, ev)
	}
	if err := k.wishes.Change(owner.Project, func(r *wish.Record) { r.Settle(inventory.Replicas(paid)...) }); err != nil {
		k.log.Warn("cannot record who was started again", "project", owner.Project, "error", err)
	}
}

// again stops a container, if it runs, and starts it.
func (k *Keeper) again(c *inventory.Container) error {
	if c.Alive() {
		if err := k.PreStopUnasked(k.life, c); err != nil {
			return err
		}
		if err := k.StopOnly(k.life, c, nil, nil); err != nil {
			return err
		}
	}
	return k.Start(k.life, c.ID, nil)
}

// leftBehind says whether c's run is from before the run s of the container whose namespaces it joined, and is, or would but for
// that one's end be, still going on. owed: it was stopped to be started again.
func (k *Keeper) leftBehind(c *inventory.Container, s supervise.Status, owed bool) bool {
	if !c.StartedAt.Before(s.StartedAt) {
		return false
	}
	mine := k.StatusOf(c)
	switch mine.State {
	case supervise.Running:
		return true
	case supervise.Ended:
		if owed {
			return true
		}
		// together bounds how far apart two ends are that the kernel made one: what lies between is only our hearing of them.
		const together = 2 * time.Second
		return !mine.Asked && c.Exit != nil && s.Exit != nil && c.Exit.Signal == int(unix.SIGKILL) && !c.Exit.OOM &&
			c.Exit.FinishedAt.Sub(s.Exit.At).Abs() <= together
	}
	return false // its policy starts it, or somebody stops it
}
