package plan

import (
	"fmt"
	"slices"
	"strings"
)

// RunPreStart runs steps of a service's pre_start, each in a container of its own, before the start of a container that is made and does not
// run. Steps are their places in the list.
type RunPreStart struct {
	Service     string
	Replica     int
	Name        string
	ContainerID string // "" = the one that this plan creates
	Steps       []int
}

func (RunPreStart) operation() {}

func (o RunPreStart) String() string { return fmt.Sprintf("run %s of container %s", o.what(), o.Name) }

// what is "pre_start[0], pre_start[1]".
func (o RunPreStart) what() string {
	parts := make([]string, len(o.Steps))
	for i, n := range o.Steps {
		parts[i] = fmt.Sprintf("pre_start[%d]", n)
	}
	return strings.Join(parts, ", ")
}

// StepsBefore are the steps that run before the start of one container. The lead of a service is the one for which is done what is to be
// done once.
func StepsBefore(steps []InitStep, lead bool) []int {
	var before []int
	for i, s := range steps {
		if lead || s.PerReplica {
			before = append(before, i)
		}
	}
	return before
}

// StepImages are the images of steps that are not their service's.
func StepImages(steps []InitStep) []string {
	var refs []string
	for _, h := range steps {
		if h.Image != "" && !slices.Contains(refs, h.Image) {
			refs = append(refs, h.Image)
		}
	}
	return refs
}

// preStart is what runs before r starts: one that is not made anew keeps what it was made with.
func (d *decision) preStart(r *replica) []InitStep {
	if r.action == Start || r.action == Restart {
		return r.have.PreStart
	}
	return d.service.Spec.PreStart
}

// eachStepImage calls do for the images of the steps before starts of d, which are not its own, with their keys in the file.
func (b *builder) eachStepImage(d *decision, do func(ref, at string)) {
	if b.opt.NoStart {
		return
	}
	for _, r := range d.replicas {
		if r.action == NoOp || r.action == Mend {
			continue
		}
		for i, s := range d.preStart(r) {
			if s.Image != "" {
				do(s.Image, fmt.Sprintf("pre_start[%d].image", i))
			}
		}
	}
}

// lead is the container of d for which is done what is to be done once, nil when there is none: a container of the service runs on, for which it
// was done. Precondition: the stops are emitted.
func (b *builder) lead(d *decision) *replica {
	if d.rolls {
		return nil // it is the first that is replaced
	}
	for _, c := range b.containersOf(d.service.Name) {
		if c.Active() && !slices.ContainsFunc(b.stops, func(s stopStep) bool { return s.state.ID == c.ID }) {
			return nil
		}
	}
	for _, r := range d.replicas {
		if r.action != NoOp && d.led(r) {
			return r
		}
	}
	return nil
}

// led says whether something is to be done once before r starts.
func (d *decision) led(r *replica) bool {
	return slices.ContainsFunc(d.preStart(r), func(s InitStep) bool { return !s.PerReplica })
}

// leading is list with lead, if there is one, as the first.
func leading(lead *replica, list []*replica) []*replica {
	if lead == nil || list[0] == lead {
		return list
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(r *replica) bool { return r == lead })
	return append([]*replica{lead}, rest...)
}

// emitPreStart runs what comes before the start of r. Nothing of the service runs any more when its lead's steps do: what they change is
// changed for all.
func (b *builder) emitPreStart(d *decision, r *replica, lead bool, needs, after []int) {
	steps := StepsBefore(d.preStart(r), lead)
	if len(steps) == 0 {
		return
	}
	op := RunPreStart{Service: d.service.Name, Replica: r.number, Name: r.name, Steps: steps}
	if r.create == 0 {
		op.ContainerID = r.have.ID
	}
	needs = slices.Clone(needs)
	for _, ref := range StepImages(d.preStart(r)) {
		needs = append(needs, b.pulls[ImageKey(ref, d.service.Spec.Platform)])
	}
	if lead {
		for _, o := range d.replicas {
			after = append(after, o.stop)
		}
		for _, s := range d.surplus {
			after = append(after, s.stop)
		}
	}
	r.prepare = b.step(op, Container(d.service.Name, r.number), r.reasons[0], needs, after)
}
