package plan

import (
	"maps"
	"slices"
)

// emitReady does what can fail of a recreate or a restart, but for the start itself, before the containers of d that run are stopped: so they run on when it fails. Of
// a recreate that is all that the new container is made of, of a restart the room for its records. Containers that are new are made with them, for those that are
// stopped may need them.
func (b *builder) emitReady(d *decision) {
	if !b.interrupts() {
		return
	}
	for _, r := range d.replicas {
		active := r.have != nil && r.have.Active()
		switch {
		case d.rolling(r), d.hasTwin(r): // something is in the way of the new one
		case r.action == Restart && active:
			r.ready = b.step(ReserveStart{Service: d.service.Name, Name: r.have.Name, ContainerID: r.have.ID}, Container(d.service.Name, r.number), r.reasons[0], nil, nil)
		case r.have == nil && r.action == Create, r.action == Replace && active && r.have.Gone == "":
			b.emitCreate(d, r)
			r.ready = r.create
		}
	}
}

// interrupts says whether the plan stops containers to have them, or others in their places, run again.
func (b *builder) interrupts() bool {
	for _, d := range b.decided {
		for _, r := range d.replicas {
			if r.have != nil && r.have.Active() && (r.action == Replace || r.action == Restart) && !d.rolling(r) {
				return true
			}
		}
	}
	return false
}

// emitCreate makes the container of r, beside its predecessor if that is there still.
func (b *builder) emitCreate(d *decision, r *replica) {
	op := CreateContainer{Service: d.service.Name, Replica: r.number, Name: r.name}
	switch {
	case r.have == nil:
		op.Anonymous = b.have.Anonymous[Container(d.service.Name, r.number)]
	case !b.opt.RenewAnon:
		op.Anonymous = r.have.Anonymous
	}
	if r.have != nil && r.remove == 0 {
		op.Succeeds = r.have.ID
	}
	image, rest := b.ground(d.service)
	if r.remove == 0 {
		rest = b.early(rest)
	}
	r.create = b.step(op, Container(d.service.Name, r.number), r.reasons[0], append([]int{image, r.remove, b.freed[r.name]}, rest...), d.twins(r))
}

// early are those of ground, steps that make what a container stands on, that wait for no stop.
func (b *builder) early(ground []int) []int {
	return slices.DeleteFunc(slices.Clone(ground), b.waitsForStops)
}

// readiness is what must have succeeded before containers of d are stopped: they start again only after what they depend on has. A network that is made anew waits
// for all that are on it, and so does who starts on the new one.
func (b *builder) readiness(d *decision) (steps []int) {
	if slices.ContainsFunc(slices.Collect(maps.Values(b.networks)), func(n netSteps) bool { return n.remove != 0 }) {
		for _, name := range b.order {
			for _, r := range b.decided[name].replicas {
				steps = append(steps, r.ready)
			}
		}
		return steps
	}
	seen := map[string]bool{}
	var of func(d *decision)
	of = func(d *decision) {
		seen[d.service.Name] = true
		for _, r := range d.replicas {
			steps = append(steps, r.ready)
		}
		for _, name := range sortedKeys(d.service.DependsOn) {
			if dep := b.decided[name]; dep != nil && d.service.DependsOn[name].Required && !seen[name] {
				of(dep)
			}
		}
	}
	of(d)
	return steps
}
