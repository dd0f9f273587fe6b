package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/spec/diag"
)

// emit turns decisions into steps. A recreate is: make everything ready that the new container needs, create it under the name of the old one, stop that, delete it,
// start the new one. Ports are unique, so the two cannot run at once; but what can fail before the new one starts fails while the old one runs.
func (b *builder) emit() {
	b.orphans()
	for _, name := range b.order {
		b.emitImages(b.decided[name])
	}
	b.emitNetworks()
	b.emitVolumes()
	for _, name := range b.order {
		b.emitReady(b.decided[name])
	}
	// Dependents stop before what they depend on: from the end of the order to its beginning.
	for _, name := range slices.Backward(b.order) {
		b.emitStops(b.decided[name])
	}
	b.joinNetworkRemovals()
	for _, name := range b.order {
		b.emitStarts(b.decided[name])
	}
	b.listContainers()
	b.buildsFirst()
}

// step appends a step and returns its id. Zero ids in needs and after are none.
func (b *builder) step(op Operation, id ID, cause Reason, needs, after []int) int {
	n := len(b.steps) + 1
	b.steps = append(b.steps, Step{ID: n, Op: op, For: id, Cause: cause, Needs: stepIDs(needs), After: stepIDs(after)})
	return n
}

func stepIDs(ids []int) []int {
	ids = slices.DeleteFunc(slices.Clone(ids), func(n int) bool { return n == 0 })
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (b *builder) change(id ID, name string, a Action, reasons ...Reason) {
	b.changes = append(b.changes, Change{ID: id, Name: name, Action: a, Reasons: reasons})
}

// orphans are containers whose service is not in the file any more.
func (b *builder) orphans() {
	var names []string
	for i := range b.have.Containers {
		c := &b.have.Containers[i]
		if c.OneOff || b.opt.Heal || !b.orphaned(c) {
			continue
		}
		if !b.opt.RemoveOrphans {
			names = append(names, c.Name)
			continue
		}
		why := Reason{Path: "the file has no service " + c.Service}
		b.change(c.id(), c.Name, Delete, why)
		_, b.freed[c.Name] = b.emitRemove(c, why, false)
	}
	if len(names) > 0 && !b.opt.IgnoreOrphans {
		slices.Sort(names)
		b.diags = append(b.diags, &diag.Diagnostic{
			Severity: diag.Warning, Code: "orphans", Summary: "containers of services that the file does not have",
			Detail: strings.Join(names, ", "), Hint: "`stack up --remove-orphans` removes them, if the service was renamed or taken out",
		})
	}
}

// emitRemove stops and deletes c for good, its anonymous volumes too when volumes says so, and returns the steps that do.
func (b *builder) emitRemove(c *ContainerState, why Reason, volumes bool) (stop, remove int) {
	if c.Active() {
		stop = b.step(StopContainer{Service: c.Service, Name: c.Name, ContainerID: c.ID, Timeout: b.opt.Timeout}, c.id(), why, nil, nil)
		b.stops = append(b.stops, stopStep{stop, c})
	}
	remove = b.step(DeleteContainer{Service: c.Service, Replica: c.Replica, Name: c.Name, ContainerID: c.ID, Volumes: volumes}, c.id(), why, []int{stop}, nil)
	return stop, remove
}

// makes says whether a container of d is made by this plan.
func (d *decision) makes() bool {
	return slices.ContainsFunc(d.replicas, func(r *replica) bool { return r.action == Create || r.action == Replace })
}

// emitNetworks makes the networks that the chosen services use, or all.
func (b *builder) emitNetworks() {
	names := b.used(b.networksOf)
	if b.all() {
		names = sortedKeys(b.want.Networks)
	}
	for _, name := range names {
		w, ok := b.want.Networks[name]
		if !ok {
			continue // the loader has refused it
		}
		h, exists := b.have.Networks[name]
		id := ID{Kind: KindNetwork, Name: name}
		switch {
		case b.opt.Heal && (b.opt.Hold[id] || w.External || exists && h.Project != b.want.Project):
		case w.External && !exists:
			b.diags = append(b.diags, &diag.Diagnostic{
				Code: "external-network-missing", Summary: "an external network is not there", Detail: fmt.Sprintf("network %s is declared external and does not exist", name),
				Hint: "bring up the project that makes it, or leave external: true out so that this one does", Address: "networks." + w.Key,
			})
		case w.External:
		case exists && h.Project != b.want.Project:
			b.diags = append(b.diags, &diag.Diagnostic{
				Code: "network-of-another-project", Summary: "a network of this name belongs to somebody else", Detail: fmt.Sprintf("network %s %s", name, owned(h.Project)),
				Hint: "give yours another name:, or declare it external: true to share it", Address: "networks." + w.Key,
			})
		case !exists:
			why := Reason{Path: "it does not exist"}
			b.change(id, name, Create, why)
			b.networks[name] = netSteps{create: b.step(CreateNetwork{name}, id, why, nil, nil)}
		case b.diverged[name] != nil:
			b.change(id, name, Replace, b.diverged[name]...)
			why := b.diverged[name][0]
			remove := b.step(DeleteNetwork{name}, id, why, nil, nil)
			b.networks[name] = netSteps{remove, b.step(CreateNetwork{name}, id, why, []int{remove}, nil)}
		case h.Problem != "":
			why := Reason{Path: h.Problem}
			b.change(id, name, Mend, why)
			b.networks[name] = netSteps{create: b.step(CreateNetwork{name}, id, why, nil, nil)}
		}
	}
}

// all says whether resources that nothing uses are made too. What nothing uses, nobody misses: it is not healed.
func (b *builder) all() bool { return b.want.Unused && !b.opt.Heal }

// owned says whose a network or volume is that is not the plan's.
func owned(project string) string {
	if project == "" {
		return "is of no project: a client of the Docker Engine API has made it"
	}
	return fmt.Sprintf("is of project %q", project)
}

func (b *builder) emitVolumes() {
	names := b.used(func(s *Service) []string {
		var names []string
		for _, m := range s.Spec.Mounts {
			if m.Type == "volume" && m.Source != "" {
				names = append(names, m.Source)
			}
		}
		return names
	})
	if b.all() {
		names = sortedKeys(b.want.Volumes)
	}
	for _, name := range names {
		w, ok := b.want.Volumes[name]
		if !ok {
			continue
		}
		h, exists := b.have.Volumes[name]
		id := ID{Kind: KindVolume, Name: name}
		switch {
		case b.opt.Heal && (b.opt.Hold[id] || w.External || exists && (h.Problem == "" || h.Project != b.want.Project)):
		case w.External && !exists:
			b.diags = append(b.diags, &diag.Diagnostic{
				Code: "external-volume-missing", Summary: "an external volume is not there", Detail: fmt.Sprintf("volume %s is declared external and does not exist", name),
				Hint: "bring up the project that makes it, or leave external: true out so that this one does", Address: "volumes." + w.Key,
			})
		case w.External:
		case !exists:
			why := Reason{Path: "it does not exist"}
			b.change(id, name, Create, why)
			b.volumes[name] = b.step(CreateVolume{name}, id, why, nil, nil)
		case h.Project != b.want.Project:
			b.diags = append(b.diags, &diag.Diagnostic{
				Severity: diag.Warning, Code: "volume-of-another-project", Summary: "a volume of this name was not made for this project; it is used as it is",
				Detail: fmt.Sprintf("volume %s %s", name, owned(h.Project)), Hint: "declare it external: true", Address: "volumes." + w.Key,
			})
		case h.Problem != "":
			why := Reason{Path: h.Problem}
			b.change(id, name, Mend, why)
			b.volumes[name] = b.step(CreateVolume{name}, id, why, nil, nil)
		default:
			// What is in a volume is worth more than its settings: it is never made anew without being asked to.
			if reasons := Diff(h.Encoded, Encode(w.Spec)); len(reasons) > 0 {
				b.diags = append(b.diags, &diag.Diagnostic{
					Severity: diag.Warning, Code: "volume-differs", Summary: "a volume is other than the file says; it is kept as it is, with its data",
					Detail: fmt.Sprintf("volume %s: %s", name, joinReasons(reasons)), Hint: "to make it anew, remove it with `stack down -v`, which deletes what is in it", Address: "volumes." + w.Key,
				})
			}
		}
	}
}

// used collects names over the chosen services that have or get a container. A container that rests uses them too: it is to find
// what it stands on when somebody starts it.
func (b *builder) used(of func(*Service) []string) []string {
	set := map[string]bool{}
	for _, service := range b.order {
		if s := b.want.Services[service]; s.Replicas > 0 && !(b.opt.Heal && len(b.decided[service].replicas) == 0) {
			for _, name := range of(s) {
				set[name] = true
			}
		}
	}
	return sortedKeys(set)
}

// networksOf are the networks that containers of s are on, or will be: one that is kept as it is although the file says otherwise
// (--no-recreate) is on those that it was made with.
func (b *builder) networksOf(s *Service) []string {
	set := map[string]bool{}
	for name := range s.Spec.Networks {
		set[name] = true
	}
	if d := b.decided[s.Name]; d != nil {
		for _, r := range d.replicas {
			if r.action == Start || r.action == Restart || r.action == Mend {
				for _, name := range r.have.Networks {
					set[name] = true
				}
			}
		}
	}
	return sortedKeys(set)
}

// ground is the steps that make what containers of s stand on.
func (b *builder) ground(s *Service) (image int, rest []int) {
	for _, net := range b.networksOf(s) {
		rest = append(rest, b.networks[net].create)
	}
	for _, m := range s.Spec.Mounts {
		if m.Type == "volume" {
			rest = append(rest, b.volumes[m.Source])
		}
	}
	for _, ref := range StepImages(s.Spec.PreStart) {
		rest = append(rest, b.pulls[ImageKey(ref, s.Spec.Platform)])
	}
	rest = append(rest, b.mountedPulls(s)...)
	return b.pulls[s.Spec.ImageKey()], rest
}

// mountedPulls are the steps that pull what s mounts.
func (b *builder) mountedPulls(s *Service) (steps []int) {
	s.Spec.eachMounted(func(ref, _ string) { steps = append(steps, b.pulls[ImageKey(ref, s.Spec.Platform)]) })
	return steps
}

// emitStops stops what must stop, dependents before what they depend on.
func (b *builder) emitStops(d *decision) {
	var before []int // stops of dependents
	for _, user := range b.deps.Users(d.service.Name) {
		if u := b.decided[user]; u != nil {
			for _, r := range u.replicas {
				before = append(before, r.stop)
			}
			for _, s := range u.surplus {
				before = append(before, s.stop)
			}
		}
	}
	image, rest := b.ground(d.service)
	for _, r := range d.replicas {
		if r.have == nil || r.action != Replace && r.action != Restart && r.action != Stop || d.rolling(r) {
			continue
		}
		id, why := Container(d.service.Name, r.number), r.reasons[0]
		if r.have.Active() || r.action == Stop {
			// Nothing is stopped before what replaces it can be made; but a network that is made anew waits for the stop.
			needs, after := slices.Concat([]int{image}, b.early(rest), b.readiness(d)), before
			if r.action == Stop {
				// A dependent that does not stop runs on with what it depends on. What is to run again is stopped all the same: it comes back.
				needs, after = append(needs, before...), nil
			}
			r.stop = b.step(StopContainer{Service: d.service.Name, Name: r.have.Name, ContainerID: r.have.ID, Timeout: b.opt.Timeout}, id, why, needs, after)
			b.stops = append(b.stops, stopStep{r.stop, r.have})
		}
		if r.action == Replace {
			// One that has its successor need not leave word of its anonymous volumes.
			r.remove = b.step(DeleteContainer{Service: d.service.Name, Replica: r.number, Name: r.have.Name, ContainerID: r.have.ID, KeepAnonymous: !b.opt.RenewAnon && r.create == 0, Volumes: b.opt.RenewAnon},
				id, why, append([]int{r.stop, image}, b.mountedPulls(d.service)...), nil)
		}
	}
	for i := range d.surplus {
		s := &d.surplus[i]
		r := d.replica(s.state.Replica)
		switch {
		case r != nil && r.have != nil && r.have.Succeeds == s.state.ID:
			b.emitHeir(d, s, r)
		case r != nil && r.have != nil && s.state.Succeeds == r.have.ID && s.state.Status == StatusCreated:
			// Nothing was written to the anonymous volumes that were made for it. Those that it was to take over are its predecessor's, and stay as long as that has
			// them: so it goes first.
			s.stop, s.remove = b.emitRemove(s.state, s.reason, true)
			if r.remove != 0 {
				b.steps[r.remove-1].After = stepIDs(append(b.steps[r.remove-1].After, s.remove))
			}
		default:
			s.stop, s.remove = b.emitRemove(s.state, s.reason, false)
		}
		first := cmp.Or(s.stop, s.remove)
		b.steps[first-1].After = stepIDs(append(b.steps[first-1].After, before...))
	}
}

func (b *builder) waitsForStops(create int) bool {
	for _, n := range b.networks {
		if create != 0 && n.create == create && n.remove != 0 {
			return true
		}
	}
	return false
}

// joinNetworkRemovals makes the removal of a network wait for every stop of a container that is on it.
func (b *builder) joinNetworkRemovals() {
	for _, name := range sortedKeys(b.networks) {
		remove := b.networks[name].remove
		if remove == 0 {
			continue
		}
		for _, s := range b.stops {
			if slices.Contains(s.state.Networks, name) {
				b.steps[remove-1].Needs = stepIDs(append(b.steps[remove-1].Needs, s.step))
			}
		}
	}
}

func (b *builder) emitStarts(d *decision) {
	s := d.service
	if s.Provider != "" && slices.Contains(b.opt.Services, s.Name) {
		b.waitFor(s) // its program is about to run
	}
	_, rest := b.ground(s)
	lead, led := b.lead(d), 0
	for _, r := range leading(lead, d.replicas) {
		if r.action == NoOp || r.action == Stop || d.rolling(r) {
			continue
		}
		id, why := Container(s.Name, r.number), r.reasons[0]
		if r.action == Mend {
			b.emitMend(s, r, id)
			continue
		}
		twins := d.twins(r)
		if r.create == 0 && (r.action == Create || r.action == Replace) {
			b.emitCreate(d, r)
		}
		if b.opt.NoStart {
			continue
		}
		op, ports := StartContainer{Service: s.Name, Replica: r.number, Name: r.name}, s.Spec.Ports
		if r.create == 0 {
			op.ContainerID, ports = r.have.ID, portsOf(r.have)
		}
		needs, after := b.waitFor(s)
		after = append(after, b.portHolders(s, ports)...)
		after = append(after, twins...)
		needs = append(append(needs, r.create, r.stop, r.remove, led), rest...)
		b.emitPreStart(d, r, r == lead, needs, after)
		if r == lead {
			led = r.prepare
		}
		r.start = b.step(op, id, why, append(needs, r.prepare), after)
	}
	if d.rolls {
		b.emitRollout(d)
	}
}

// twins are the removals of others with r's number or name: names are unique, and whoever waits for a number must find the one
// that stays.
func (d *decision) twins(r *replica) (removals []int) {
	for _, twin := range d.surplus {
		if twin.state.Replica == r.number || twin.state.Name == r.name {
			removals = append(removals, twin.remove)
		}
	}
	return removals
}

// hasTwin says whether r has twins.
func (d *decision) hasTwin(r *replica) bool {
	return slices.ContainsFunc(d.surplus, func(twin surplus) bool { return twin.state.Replica == r.number || twin.state.Name == r.name })
}

// waitFor is what a container of s waits for before it starts. Precondition: the starts of what s depends on are
// emitted.
func (b *builder) waitFor(s *Service) (needs, after []int) {
	for _, name := range sortedKeys(s.DependsOn) {
		dep, d := s.DependsOn[name], b.decided[name]
		if d == nil || len(d.replicas) == 0 {
			continue // not asked for, or none of it wanted
		}
		var starts, twins []int
		settled := true // as it is, it meets the condition
		var numbers []int
		for _, r := range d.replicas {
			if b.opt.Heal && b.settled(r, dep.Condition) {
				continue
			}
			numbers = append(numbers, r.number)
			starts = append(starts, r.start)
			twins = append(twins, d.twins(r)...)
			settled = settled && b.settled(r, dep.Condition)
		}
		if settled {
			continue
		}
		wait := starts
		if dep.Condition != Started {
			key := waitKey{name, dep.Condition, !dep.Required}
			if b.waits[key] == 0 {
				op := WaitReady{Service: name, Replicas: numbers, Condition: dep.Condition, Optional: !dep.Required}
				why := Reason{Path: s.Name + " depends on it"}
				waitNeeds, waitAfter := starts, twins
				if op.Optional {
					waitNeeds, waitAfter = nil, slices.Concat(starts, twins)
				}
				b.waits[key] = b.step(op, Container(name, numbers[0]), why, waitNeeds, waitAfter)
			}
			wait = []int{b.waits[key]}
		}
		if dep.Required {
			needs = append(needs, wait...)
		} else {
			after = append(after, wait...)
		}
	}
	return needs, after
}

// portHolders are the stops of containers that publish a port which one of s may get that publishes ports: those of other services, and those of s that go for
// good. Its other replicas share no fixed port, and each finds of a range what its predecessor had.
func (b *builder) portHolders(s *Service, ports []Port) []int {
	if len(ports) == 0 {
		return nil
	}
	var stops []int
	for _, stop := range b.stops {
		if stop.state.Service == s.Name && !b.decided[s.Name].isSurplus(stop.state) {
			continue
		}
		if slices.ContainsFunc(portsOf(stop.state), func(p Port) bool { return slices.ContainsFunc(ports, p.meets) }) {
			stops = append(stops, stop.step)
		}
	}
	return stops
}

// listContainers records what happens to each container, in the order of the file's names.
func (b *builder) listContainers() {
	for _, name := range slices.Sorted(slices.Values(b.order)) {
		d := b.decided[name]
		for _, r := range d.replicas {
			if r.action != NoOp && (r.action != Stop || r.have.Active()) {
				b.change(Container(name, r.number), r.name, r.action, r.reasons...)
			}
			if r.prepare != 0 {
				b.changes[len(b.changes)-1].Runs = b.steps[r.prepare-1].Op.(RunPreStart).what()
			}
		}
		for _, s := range d.surplus {
			b.change(s.state.id(), s.state.Name, Delete, s.reason)
		}
	}
}

// sorted numbers the steps so that each comes after all that it waits for.
func (b *builder) sorted() []Step {
	g := graph.New(cmp.Compare[int])
	for _, s := range b.steps {
		g.Add(s.ID)
		for _, n := range append(slices.Clone(s.Needs), s.After...) {
			g.Connect(s.ID, n)
		}
	}
	order, err := g.Order()
	if err != nil {
		panic("plan: steps wait for each other: " + err.Error()) // a fault of this package: properties_test looks for it
	}
	number := make(map[int]int, len(order))
	for i, n := range order {
		number[n] = i + 1
	}
	out := make([]Step, len(order))
	for i, n := range order {
		s := b.steps[n-1]
		s.ID = i + 1
		for j := range s.Needs {
			s.Needs[j] = number[s.Needs[j]]
		}
		for j := range s.After {
			s.After[j] = number[s.After[j]]
		}
		slices.Sort(s.Needs)
		slices.Sort(s.After)
		s.After = slices.DeleteFunc(s.After, func(n int) bool { return slices.Contains(s.Needs, n) })
		out[i] = s
	}
	return out
}

func joinReasons(reasons []Reason) string {
	parts := make([]string, len(reasons))
	for i, r := range reasons {
		parts[i] = r.String()
	}
	return strings.Join(parts, "; ")
}
