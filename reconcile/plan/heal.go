package plan

import "slices"

// healReplica says what is done about a replica that is to be as it was, whatever the file says by now: it decides on damage alone.
// Precondition: what the service depends on is decided.
func (b *builder) healReplica(d *decision, r *replica) {
	c, id := r.have, Container(d.service.Name, r.number)
	owed := c != nil && b.opt.Owed.Due(id, c.StartedAt)
	r.action = NoOp
	switch {
	case b.opt.Off[id], c != nil && c.Status == StatusPaused:
		return // somebody's wish
	case c != nil && c.Status == StatusExited && c.Lost == "" && !owed:
		r.done = c.ExitCode == 0 && b.awaited(d.service.Name)
		return // it has ended by itself: that is its policy's matter
	case c != nil && c.Lost != "" && d.service.StayDown && !owed:
		return
	case b.opt.Hold[id]:
		r.late = c == nil || !c.Active()
		return
	}
	switch {
	case (c == nil || c.Gone != "") && b.nameTaken(r):
		return // by what an up puts in order
	case c == nil:
		r.action, r.reasons = Create, []Reason{{Path: "it does not exist"}}
	case c.Gone != "":
		r.action, r.reasons = Replace, []Reason{{Path: c.Gone}}
	case c.Active():
		r.reasons = b.disturbances(d.service, c)
		if c.Unhealthy {
			r.reasons = append([]Reason{Unhealthy}, r.reasons...)
		}
		if len(r.reasons) > 0 {
			r.action = Restart
		} else if r.reasons = c.mendable(); len(r.reasons) > 0 {
			r.action = Mend
		}
		return
	case c.Lost != "" && !(owed && !c.StartedAt.IsZero()): // a SIGKILL that ended what is owed a start was that of its stop
		r.action, r.reasons = Start, []Reason{{Path: c.Lost}}
	case c.Status == StatusExited:
		r.action, r.reasons = Start, []Reason{cutShort}
	default:
		r.action, r.reasons = Start, []Reason{{Path: "it was not started"}}
	}
	if b.dependsOnLate(d.service) {
		r.action, r.reasons, r.late = NoOp, nil, true
	}
}

func (b *builder) nameTaken(r *replica) bool {
	return slices.ContainsFunc(b.have.Containers, func(c ContainerState) bool { return c.Name == r.name && (r.have == nil || c.ID != r.have.ID) })
}

// Unhealthy is the reason for a restart of which there is a limited number.
var Unhealthy = Reason{Path: "it is unhealthy"}

// dependsOnLate says whether something that s needs is about to start, but not in this plan.
func (b *builder) dependsOnLate(s *Service) bool {
	for _, name := range sortedKeys(s.DependsOn) {
		d := b.decided[name]
		if d == nil || !s.DependsOn[name].Required {
			continue
		}
		for _, r := range d.replicas {
			if r.late || r.have != nil && r.have.Status == StatusRestarting {
				return true
			}
		}
	}
	return false
}

// problems are what is wrong with c while it runs.
func (c *ContainerState) problems() []Reason {
	var reasons []Reason
	for _, p := range []string{c.Problem, c.NetworkProblem} {
		if p != "" {
			reasons = append(reasons, Reason{Path: p})
		}
	}
	return reasons
}

// mendable are the problems of c that can be put right as it runs.
func (c *ContainerState) mendable() []Reason {
	if c.MustRestart || c.Status != StatusRunning {
		return nil
	}
	return c.problems()
}

// lost says why what m mounts is not what it was when its container was started; "" = it is. The mount of a container that runs is of
// the directory that is gone, so that it sees another one only after a restart.
func (b *builder) lost(m Mount) string {
	w, ok := b.want.Volumes[m.Source]
	if m.Type != "volume" || !ok || w.External {
		return ""
	}
	switch h, exists := b.have.Volumes[m.Source]; {
	case !exists:
		return "volume " + m.Source + " was removed; it is made again, empty"
	case h.Problem != "" && h.Project == b.want.Project:
		return "volume " + m.Source + ": " + h.Problem + "; it is made again, empty"
	}
	return ""
}

// ownGround is the steps that make or mend what c is on.
func (b *builder) ownGround(c *ContainerState) []int {
	var steps []int
	for _, net := range c.Networks {
		steps = append(steps, b.networks[net].create)
	}
	return steps
}

// emitMend mends what is damaged of a container that runs.
func (b *builder) emitMend(s *Service, r *replica, id ID) {
	c := r.have
	if c.NetworkProblem != "" {
		b.step(MendNetwork{Service: s.Name, Name: c.Name, ContainerID: c.ID}, id, Reason{Path: c.NetworkProblem}, b.ownGround(c), nil)
	}
	if c.Problem != "" {
		b.step(MendContainer{Service: s.Name, Name: c.Name, ContainerID: c.ID}, id, Reason{Path: c.Problem}, nil, nil)
	}
}

// settled says whether a replica meets a condition as it is, so that nobody has to wait for it. Who is healed does not wait for one that
// nobody starts: it has lived without it until now.
func (b *builder) settled(r *replica, condition Condition) bool {
	if r.action != NoOp && r.action != Mend {
		return false
	}
	if b.opt.Heal && (r.have == nil || !r.have.Active() || r.have.Status == StatusPaused) {
		return true
	}
	return condition == Started || condition == Healthy && r.have.Healthy || condition == Completed && r.done
}
