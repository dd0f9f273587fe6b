package plan

import (
	"fmt"
	"iter"
	"slices"

	"github.com/stackrun/stack/spec/diag"
)

// Two containers have one number while a recreate or a rolling update replaces the one by the other, which names it as its predecessor.
// One that was killed leaves such pairs; a plan goes on from there.

// choose says which container of a group with one number is the replica. next is its successor, if the update that made it is to go on; the rest
// is taken away.
//
//	predecessor        successor            replica
//	relieved           any                  successor: the other has no names and ports any more
//	as wanted, runs    any                  predecessor
//	any                as wanted, runs      predecessor, and its update goes on
//	runs               any                  predecessor: the update begins anew
//	does not run       runs                 successor
//	does not run       does not run         predecessor
func (b *builder) choose(s *Service, group []*ContainerState, encoded string) (c, next *ContainerState, rest []*ContainerState) {
	old, new := pair(group)
	if new == nil {
		c = group[0]
		for _, x := range group[1:] {
			switch {
			case b.opt.Heal: // what runs is the replica; a second is not started beside it, and none is taken away
				if !c.Active() && x.Active() {
					c = x
				}
			case !b.fits(s, c, encoded) && b.fits(s, x, encoded):
				c = x
			}
		}
	} else {
		switch {
		case b.opt.Heal: // as it was left: who was in the middle of it goes on by himself
			if c = old; old.Relieved || !old.Active() && new.Status != StatusCreated {
				c = new
			}
			return c, nil, nil
		case old.Relieved && !b.fits(s, new, encoded):
			c = new
		case !old.Relieved && b.fits(s, old, encoded):
			c = old
		case b.fits(s, new, encoded):
			if b.rolls(s) {
				c, next = old, new
			} else {
				c = new
			}
		case !old.Active() && new.Active():
			c = new
		default:
			c = old
		}
	}
	for _, x := range group {
		if x != c && x != next {
			rest = append(rest, x)
		}
	}
	return c, next, rest
}

// groups yields the runs of containers with one number.
func groups(sorted []*ContainerState) iter.Seq[[]*ContainerState] {
	return func(yield func([]*ContainerState) bool) {
		for first := 0; first < len(sorted); {
			last := first + 1
			for last < len(sorted) && sorted[last].Replica == sorted[first].Replica {
				last++
			}
			if !yield(sorted[first:last]) {
				return
			}
			first = last
		}
	}
}

// pair finds a container and its successor in group.
func pair(group []*ContainerState) (old, new *ContainerState) {
	for _, n := range group {
		for _, o := range group {
			if n != o && n.Succeeds == o.ID {
				return o, n
			}
		}
	}
	return nil, nil
}

// fits says whether c runs and needs no replacement.
func (b *builder) fits(s *Service, c *ContainerState, encoded string) bool {
	if !c.Active() || Diff(c.Encoded, encoded) != nil || b.forced(s.Name) {
		return false
	}
	id, local := b.have.Images[s.Spec.ImageKey()]
	return (!local || id == c.Image) && len(b.otherMounted(s, c)) == 0
}

// rolls says whether containers of s are replaced by its update_config, and not all at once.
func (b *builder) rolls(s *Service) bool {
	return s.Update != nil && !b.opt.Heal && !b.opt.NoStart && !b.opt.NoRecreate && !b.opt.OwnOnly && b.obstacle(s) == ""
}

// obstacle says why containers of s cannot be replaced in turns, "" = they can.
func (b *builder) obstacle(s *Service) string {
	for _, net := range sortedKeys(s.Spec.Networks) {
		if b.diverged[net] != nil {
			return "network " + net + " is made anew, and every container has to leave it"
		}
	}
	for _, name := range b.deps.Users(s.Name) {
		u := b.want.Services[name]
		if slices.Contains([]string{u.Spec.NetworkMode, u.Spec.PID, u.Spec.IPC}, "service:"+s.Name) {
			return "service " + name + " lives in a namespace of it, of which there is one"
		}
	}
	return ""
}

// decideRollout says whether the containers of d that are made anew are so in turns.
func (b *builder) decideRollout(d *decision) {
	s := d.service
	replaces := slices.ContainsFunc(d.replicas, func(r *replica) bool { return r.action == Replace && r.have.Active() || r.next != nil })
	if s.Update == nil || !replaces || b.opt.Heal || b.opt.NoStart || b.opt.OwnOnly {
		return
	}
	if why := b.obstacle(s); why != "" {
		b.diags = append(b.diags, &diag.Diagnostic{
			Severity: diag.Warning, Code: "not-rolled", Summary: "a service is not updated as its update_config says: its containers are replaced at once",
			Detail: fmt.Sprintf("service %s: %s", s.Name, why), Address: "services." + s.Name + ".deploy.update_config",
		})
		return
	}
	d.rolls = true
}
