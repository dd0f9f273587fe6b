package plan

import "time"

// Undo is how an update of a service that has failed is taken back.
type Undo struct {
	Service  string
	Rollout  Rollout        // how, when All
	All      bool           // every container goes back to its predecessor; else only the successors of Replicas that never took over go
	Replicas []int          // of the update
	Created  []int          // that came with the update
	Timeout  *time.Duration // of stops; nil = each container's own
}

// Plan makes the steps from the service's containers on the host. It is pure. What it starts is the predecessors themselves, which
// the update has kept.
func (u Undo) Plan(project string, have []ContainerState) *Plan {
	b := &undoing{Undo: u, cause: Reason{Path: "the update of " + u.Service + " has failed"}}
	p := &Plan{Project: project}
	var pairs [][2]*ContainerState
	for _, n := range u.Replicas {
		if o, s := pair(b.with(have, n)); s != nil && (u.All || o.Active() && !o.Relieved) {
			pairs = append(pairs, [2]*ContainerState{o, s})
			p.Changes = append(p.Changes, Change{ID: s.id(), Name: s.Name, Action: Replace, Reasons: []Reason{b.cause}})
		}
	}
	var before []int
	gate := 0
	for k, batch := range u.Rollout.batches(len(pairs)) {
		if k > 0 && u.All {
			gate = b.step(BeginBatch{Service: u.Service, Number: k + 1, Delay: u.Rollout.Delay, Tolerate: u.Rollout.tolerate(len(pairs))}, pairs[0][0].id(), []int{gate}, before)
		}
		before = nil
		for _, i := range batch {
			before = append(before, b.back(pairs[i][0], pairs[i][1], gate))
		}
	}
	if u.All {
		for _, n := range u.Created {
			for _, c := range b.with(have, n) {
				p.Changes = append(p.Changes, Change{ID: c.id(), Name: c.Name, Action: Delete, Reasons: []Reason{b.cause}})
				b.remove(c, c.Name, 0)
			}
		}
	}
	p.Steps = b.steps
	return p
}

type undoing struct {
	Undo
	cause Reason
	steps []Step
}

func (b *undoing) with(have []ContainerState, number int) (found []*ContainerState) {
	for i := range have {
		if c := &have[i]; c.Service == b.Service && c.Replica == number && !c.OneOff {
			found = append(found, c)
		}
	}
	return found
}

func (b *undoing) step(op Operation, id ID, needs, after []int) int {
	n := len(b.steps) + 1
	b.steps = append(b.steps, Step{ID: n, Op: op, For: id, Cause: b.cause, Needs: stepIDs(needs), After: stepIDs(after), Update: b.Service})
	return n
}

// back puts old in the place of new, which goes. Returns the last step of it.
func (b *undoing) back(old, new *ContainerState, gate int) int {
	serves := old.Active() && !old.Relieved
	start := func(needs int, beside string) int {
		return b.step(StartContainer{Service: b.Service, Replica: old.Replica, Name: old.Name, ContainerID: old.ID, Beside: beside}, old.id(), []int{needs}, nil)
	}
	prove := func(throughout bool, needs int) int {
		op := ProveContainer{Service: b.Service, Replica: old.Replica, Name: old.Name, ContainerID: old.ID, Monitor: b.Rollout.Monitor, Throughout: throughout}
		return b.step(op, old.id(), []int{needs}, nil)
	}
	over := func(needs int) int {
		return b.step(Handover{Service: b.Service, Replica: old.Replica, Name: old.Name, ContainerID: old.ID, From: new.ID}, old.id(), []int{needs}, nil)
	}
	switch {
	case serves:
		return b.remove(new, OldName(new.ID, new.Name), gate)
	case old.Active():
		return b.remove(new, OldName(new.ID, new.Name), over(gate))
	case b.Rollout.StartFirst && new.Active():
		return b.remove(new, OldName(new.ID, new.Name), over(prove(false, start(gate, new.ID))))
	}
	// Also one that has ended by itself: its ports may not be free yet.
	proved := prove(true, start(b.stop(new, OldName(new.ID, new.Name), gate), ""))
	b.delete(new, OldName(new.ID, new.Name), proved)
	return proved
}

func (b *undoing) stop(c *ContainerState, name string, needs int) int {
	return b.step(StopContainer{Service: c.Service, Name: name, ContainerID: c.ID, Timeout: b.Timeout}, c.id(), []int{needs}, nil)
}

// delete removes c, which is stopped, with the anonymous volumes that nobody else has.
func (b *undoing) delete(c *ContainerState, name string, needs int) int {
	return b.step(DeleteContainer{Service: c.Service, Replica: c.Replica, Name: name, ContainerID: c.ID, Volumes: true}, c.id(), []int{needs}, nil)
}

func (b *undoing) remove(c *ContainerState, name string, needs int) int {
	if c.Active() {
		needs = b.stop(c, name, needs)
	}
	return b.delete(c, name, needs)
}
