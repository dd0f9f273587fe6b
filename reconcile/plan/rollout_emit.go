package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// emitRollout replaces containers of a service in turns. A predecessor is deleted when the whole update has succeeded: until then it is what a
// rollback goes back to, with its image, its anonymous volumes and its writable layer.
//
//	start-first:  create new ▶ start ▶ ready ▶ hand over ▶ stop old
//	                                                     ▶ watch new
//	stop-first:   create new ▶ stop old ▶ start ▶ watch new
//
// Precondition: what the service depends on is emitted, and its containers that are only created too.
func (b *builder) emitRollout(d *decision) {
	var turn []*replica
	end := EndUpdate{Service: d.service.Name, OnFailure: d.service.Update.OnFailure}
	var ends []int
	for _, r := range d.replicas {
		switch {
		case d.rolling(r):
			turn = append(turn, r)
			end.Replicas = append(end.Replicas, r.number)
		case r.action == Create:
			end.Created = append(end.Created, r.number)
			ends = append(ends, r.start)
		}
	}
	u := d.service.Update
	end.Tolerate = u.tolerate(len(turn))
	if end.Rollback = (Rollout{Parallelism: 1, OnFailure: Pause, Monitor: u.Monitor}); d.service.Rollback != nil {
		end.Rollback = *d.service.Rollback
	}
	id, why := Container(d.service.Name, turn[0].number), turn[0].reasons[0]
	inUpdate := func(op Operation, id ID, why Reason, needs, after []int) int {
		n := b.step(op, id, why, needs, after)
		b.steps[n-1].Update = d.service.Name
		return n
	}
	image, needs := b.ground(d.service)
	deps, after := b.waitFor(d.service)
	needs = append(append(needs, image), deps...)
	after = append(after, b.portHolders(d.service, d.service.Spec.Ports)...)
	// What is to be done once for the new containers is done before the first of them starts, and before anything else is stopped. An update
	// that goes on has done it.
	once := d.led(turn[0]) && !slices.ContainsFunc(turn, func(r *replica) bool { return r.next != nil })
	var before []int // what ends the batch before
	gate := 0
	for k, batch := range u.batches(len(turn)) {
		if k > 0 {
			gate = inUpdate(BeginBatch{Service: d.service.Name, Number: k + 1, Delay: u.Delay, Tolerate: end.Tolerate}, id, why, []int{gate}, before)
		}
		before = nil
		for _, i := range batch {
			r := turn[i]
			first := once && r == turn[0]
			needs := append(slices.Clone(needs), gate)
			if once && !first {
				needs = append(needs, turn[0].prepare)
			}
			r.ends = b.emitTurn(d.service, r, first, needs, append(slices.Clone(after), d.twins(r)...), inUpdate)
			before = append(before, r.ends...)
		}
		ends = append(ends, before...)
	}
	if once {
		for _, n := range end.Created {
			first := &b.steps[cmp.Or(d.replica(n).prepare, d.replica(n).start)-1]
			first.Needs = stepIDs(append(first.Needs, turn[0].prepare))
		}
	}
	last := inUpdate(end, id, why, nil, ends)
	for _, r := range turn {
		r.start = last // for who depends on it
		needs, after := append([]int{last}, r.ends...), []int(nil)
		if u.OnFailure == Continue { // whatever becomes of the others
			needs, after = r.ends, []int{last}
		}
		inUpdate(DeleteContainer{Service: d.service.Name, Replica: r.number, Name: OldName(r.have.ID, r.name), ContainerID: r.have.ID, Volumes: b.opt.RenewAnon},
			Container(d.service.Name, r.number), r.reasons[0], needs, after)
	}
	b.holdUsers(d, last)
}

// rolling says whether r is replaced in its turn.
func (d *decision) rolling(r *replica) bool { return d.rolls && r.action == Replace }

// replica is the one with a number, nil = none is wanted.
func (d *decision) replica(number int) *replica {
	for _, r := range d.replicas {
		if r.number == number {
			return r
		}
	}
	return nil
}

// emitTurn replaces one container and returns the steps that end its turn. first: what pre_start has to do once is done for it.
func (b *builder) emitTurn(s *Service, r *replica, first bool, needs, after []int, step func(op Operation, id ID, why Reason, needs, after []int) int) []int {
	id, why := Container(s.Name, r.number), r.reasons[0]
	made, old := "", OldName(r.have.ID, r.name)
	if r.next != nil {
		made = r.next.ID
	}
	stop := func(needs []int) int {
		return step(StopContainer{Service: s.Name, Name: old, ContainerID: r.have.ID, Timeout: b.opt.Timeout}, id, why, needs, after)
	}
	create := func(needs []int) int {
		op := CreateContainer{Service: s.Name, Replica: r.number, Name: r.name, Succeeds: r.have.ID}
		if !b.opt.RenewAnon {
			op.Anonymous = r.have.Anonymous
		}
		r.create = step(op, id, why, append(slices.Clone(needs), b.freed[r.name]), after)
		return r.create
	}
	start := func(needs []int, beside string) int {
		if steps := StepsBefore(s.Spec.PreStart, first); len(steps) > 0 {
			r.prepare = step(RunPreStart{Service: s.Name, Replica: r.number, Name: r.name, Steps: steps}, id, why, needs, after)
		}
		return step(StartContainer{Service: s.Name, Replica: r.number, Name: r.name, Beside: beside}, id, why, append(needs, r.prepare), after)
	}
	prove := func(throughout bool, needs ...int) int {
		op := ProveContainer{Service: s.Name, Replica: r.number, Name: r.name, ContainerID: made, Monitor: s.Update.Monitor, Throughout: throughout}
		return step(op, id, why, needs, nil)
	}
	if r.next == nil && !(s.Update.StartFirst && r.have.Active() && !clash(r.have, s)) {
		ready := append(slices.Clone(needs), create(needs)) // what fails of it fails while the old one runs
		if r.have.Status != StatusCreated {                 // also one that has ended by itself: its network may still be there, or its policy about to start it
			r.stop = stop(ready)
			ready = append(slices.Clone(ready), r.stop)
		}
		return []int{prove(true, start(ready, ""))}
	}
	var started []int
	if r.next == nil {
		started = []int{start(append(slices.Clone(needs), create(needs)), r.have.ID)}
	} else {
		started = needs
	}
	over := step(Handover{Service: s.Name, Replica: r.number, Name: r.name, ContainerID: made, From: r.have.ID}, id, why, []int{prove(false, started...)}, nil)
	ends := []int{prove(true, over)}
	if r.have.Active() {
		r.stop = stop([]int{over})
		ends = append(ends, r.stop)
	}
	return ends
}

// clash says whether old holds a port that s wants on another address: then the two cannot be there at once.
func clash(old *ContainerState, s *Service) bool {
	return slices.ContainsFunc(portsOf(old), func(p Port) bool {
		return slices.ContainsFunc(s.Spec.Ports, func(q Port) bool {
			return p.HostIP != q.HostIP && p.meets(q)
		})
	})
}

// portsOf are the ports that a container was made with.
func portsOf(c *ContainerState) []Port {
	var e struct {
		Spec struct {
			Ports []Port `json:"ports"`
		} `json:"spec"`
	}
	if json.Unmarshal([]byte(c.Encoded), &e) != nil {
		return nil
	}
	return e.Spec.Ports
}

// holdUsers keeps the containers that depend on d, and are stopped by this plan, running until the update has succeeded: it may
// take long, and fail. Not those whose stop the update itself waits for.
func (b *builder) holdUsers(d *decision, last int) {
	for _, name := range b.deps.Users(d.service.Name) {
		u := b.decided[name]
		if u == nil {
			continue
		}
		for _, r := range u.replicas {
			if first := cmp.Or(r.stop, r.remove); first != 0 && !b.waitsFor(last, first) {
				b.steps[first-1].Needs = stepIDs(append(b.steps[first-1].Needs, last))
			}
		}
	}
}

// waitsFor says whether step a begins after step n has ended, by whatever way.
func (b *builder) waitsFor(a, n int) bool {
	seen := map[int]bool{}
	var look func(int) bool
	look = func(at int) bool {
		if at == n {
			return true
		}
		if seen[at] {
			return false
		}
		seen[at] = true
		s := b.steps[at-1]
		return slices.ContainsFunc(s.Needs, look) || slices.ContainsFunc(s.After, look)
	}
	return look(a)
}

// emitHeir takes away a container whose successor is the replica: names and ports go over first.
func (b *builder) emitHeir(d *decision, s *surplus, r *replica) {
	c := s.state
	id := Container(d.service.Name, r.number)
	var over int
	if c.Active() && r.have.Active() && r.action == NoOp {
		over = b.step(Handover{Service: c.Service, Replica: c.Replica, Name: r.name, ContainerID: r.have.ID, From: c.ID}, id, s.reason, nil, nil)
	}
	if c.Active() {
		s.stop = b.step(StopContainer{Service: c.Service, Name: OldName(c.ID, r.name), ContainerID: c.ID, Timeout: b.opt.Timeout}, id, s.reason, []int{over}, nil)
		b.stops = append(b.stops, stopStep{s.stop, c})
	}
	s.remove = b.step(DeleteContainer{Service: c.Service, Replica: c.Replica, Name: OldName(c.ID, r.name), ContainerID: c.ID}, id, s.reason, []int{s.stop}, nil)
}

// leftBy names why a container goes that shares its number with the replica.
func leftBy(c, replica *ContainerState) Reason {
	switch {
	case replica.Succeeds == c.ID:
		return Reason{Path: fmt.Sprintf("container %.12s has taken its place", replica.ID)}
	case c.Succeeds == replica.ID:
		return Reason{Path: fmt.Sprintf("it was to take the place of container %.12s in an update that did not end", replica.ID)}
	}
	return Reason{Path: "there are two with this number"}
}
