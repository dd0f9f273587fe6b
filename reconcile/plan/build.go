package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/spec/diag"
)

// Options are what the caller of up asks for beyond the file.
type Options struct {
	Services      []string // empty = all
	NoDeps        bool     // leave what Services depend on alone
	ForceRecreate bool     // of Services
	NoRecreate    bool
	AlwaysDeps    bool // ForceRecreate also what Services depend on
	RenewAnon     bool // new anonymous volumes for recreated containers
	RemoveOrphans bool
	IgnoreOrphans bool // do not warn of them
	NoStart       bool
	OwnOnly       bool              // what differs in itself, not what follows from the changes of others: to compare, not to apply
	Timeout       *time.Duration    // of stops; nil = each container's own
	Refresh       map[string]bool   // images (see ImageKey) to pull although they are local
	Rebuild       map[string]string // images (see ImageKey) to build although they are local, and why
	NoBuild       bool
	Begun         Debts // the starts of a command that is carried on: those that it has made are not made again

	// Heal asks for what is damaged or missing only: nothing is made anew because the file or an image is other than the
	// container, nothing is removed, nothing is started that has ended by itself. No Services are none.
	Heal bool
	Off  map[ID]bool // with Heal: containers that a user has stopped or removed
	Owed Debts       // with Heal: containers that were stopped to be started again
	Hold map[ID]bool // with Heal: resources to leave for a later time, and what needs them to start
}

// ImageKey is how an image is named in Observed.Images and Options.Refresh.
func ImageKey(ref, platform string) string {
	if platform == "" {
		return ref
	}
	return ref + "@platform=" + platform
}

// ImageKey of the image that s is made from.
func (s *Spec) ImageKey() string { return ImageKey(s.Image, s.Platform) }

// Build compares want with have. The plan is acyclic, and building again after it has been carried out gives an
// empty one. Errors in the list mean that nothing may be done; the plan is nil then.
func Build(want *Desired, have *Observed, opt Options) (*Plan, diag.List) {
	b := &builder{
		want: want, have: have, opt: opt,
		decided:  map[string]*decision{},
		networks: map[string]netSteps{},
		volumes:  map[string]int{},
		pulls:    map[string]int{},
		waits:    map[waitKey]int{},
		freed:    map[string]int{},
	}
	if !opt.NoBuild {
		b.makers = want.Makers()
	}
	if b.selectServices(); b.diags.HasErrors() {
		return nil, b.diags
	}
	for _, name := range b.order {
		b.decide(name)
	}
	if !opt.OwnOnly && !opt.Heal {
		b.rerunCompleted()
	}
	if !opt.Heal { // there one container that cannot be made must not keep the others from being healed
		if b.checkImages(); b.diags.HasErrors() {
			return nil, b.diags
		}
	}
	b.emit()
	if !opt.OwnOnly && !opt.Heal {
		b.checkNames()
	}
	if b.diags.HasErrors() {
		return nil, b.diags
	}
	return &Plan{Project: want.Project, Changes: b.changes, Steps: b.sorted()}, b.diags
}

type builder struct {
	want  *Desired
	have  *Observed
	opt   Options
	diags diag.List

	deps     *graph.Graph[string] // of services, all of them
	order    []string             // the services that this plan looks at, dependencies first
	decided  map[string]*decision
	diverged map[string][]Reason // networks that are other than the file says

	changes  []Change
	steps    []Step // ids are 1 + index until sorted
	networks map[string]netSteps
	volumes  map[string]int
	pulls    map[string]int      // and builds, by ImageKey
	makers   map[string]*Service // by ImageKey
	waits    map[waitKey]int
	stops    []stopStep     // every stop of the plan, for what must come after it
	freed    map[string]int // by name: the removal of the orphan that has it
}

type netSteps struct{ remove, create int }

type stopStep struct {
	step  int
	state *ContainerState
}

type waitKey struct {
	service   string
	condition Condition
	optional  bool
}

// decision is what happens to the containers of one service.
type decision struct {
	service  *Service
	replicas []*replica
	surplus  []surplus
	disturbs bool // a container that ran is recreated or restarted
	rolls    bool // containers are replaced in turns
}

type replica struct {
	number  int
	name    string
	have    *ContainerState
	action  Action
	reasons []Reason
	done    bool // has completed, and somebody waits for just that
	late    bool // is to start, but not in this plan

	next *ContainerState // its successor, of an update that goes on; nil = none
	ends []int           // its turn in a rolling update

	ready                                int // the step after which it may be stopped: what can fail before is done
	stop, remove, create, prepare, start int // steps, 0 = none
}

type surplus struct {
	state  *ContainerState
	reason Reason

	stop, remove int // steps, 0 = none
}

// isSurplus says whether c is one too many.
func (d *decision) isSurplus(c *ContainerState) bool {
	return slices.ContainsFunc(d.surplus, func(s surplus) bool { return s.state == c })
}

// starts says whether a container of d is started by this plan.
func (d *decision) starts() bool {
	return slices.ContainsFunc(d.replicas, func(r *replica) bool { return r.action != NoOp && r.action != Mend })
}

func (b *builder) selectServices() {
	b.deps = graph.New(strings.Compare)
	for name, s := range b.want.Services {
		b.deps.Add(name)
		for dep := range s.DependsOn {
			if b.want.Services[dep] != nil {
				b.deps.Connect(name, dep)
			}
		}
	}
	all, err := b.deps.Order()
	if err != nil {
		b.diags = append(b.diags, &diag.Diagnostic{
			Code: "dependency-cycle", Summary: "services depend on each other in a circle", Detail: err.Error(), Address: "services",
		})
		return
	}
	chosen := map[string]bool{}
	if len(b.opt.Services) == 0 && !b.opt.Heal {
		for _, name := range all {
			chosen[name] = true
		}
	}
	for _, name := range b.opt.Services {
		if b.want.Services[name] == nil {
			b.diags = append(b.diags, &diag.Diagnostic{
				Code: "unknown-service", Summary: "no such service", Detail: fmt.Sprintf("%q is not a service of project %s", name, b.want.Project),
				Hint: "the services are " + strings.Join(all, ", "),
			})
			continue
		}
		chosen[name] = true
		if !b.opt.NoDeps {
			for _, dep := range b.deps.Closure(name) {
				chosen[dep] = true
			}
		}
	}
	b.diverged = map[string][]Reason{}
	for name, w := range b.want.Networks {
		h, ok := b.have.Networks[name]
		if ok && !w.External && h.Project == b.want.Project && !b.opt.Heal {
			if reasons := Diff(h.Encoded, Encode(w.Spec)); len(reasons) > 0 {
				b.diverged[name] = reasons
			}
		}
	}
	b.followNetworks(all, chosen)
	for _, name := range all {
		if chosen[name] {
			b.order = append(b.order, name)
		}
	}
}

// followNetworks adds to chosen what is on a network that a chosen service makes anew, asked for or not: such a network takes its
// containers with it, those also that the file has put elsewhere since.
func (b *builder) followNetworks(all []string, chosen map[string]bool) {
	remade := map[string]bool{}
	isOn := func(c *ContainerState) bool {
		return slices.ContainsFunc(c.Networks, func(net string) bool { return remade[net] })
	}
	for grown := true; grown; {
		grown = false
		for _, name := range all {
			s := b.want.Services[name]
			if !chosen[name] || s.Replicas == 0 {
				continue
			}
			for net := range s.Spec.Networks {
				remade[net] = remade[net] || b.diverged[net] != nil
			}
			if !b.opt.NoRecreate {
				continue
			}
			for _, c := range b.containersOf(name) { // it stays on what it was made with
				for _, net := range c.Networks {
					remade[net] = remade[net] || b.diverged[net] != nil
				}
			}
		}
		for _, name := range all {
			if !chosen[name] && slices.ContainsFunc(b.containersOf(name), isOn) {
				chosen[name], grown = true, true
			}
		}
	}
	if b.opt.OwnOnly {
		return // nobody carries it out
	}
	for i := range b.have.Containers {
		c := &b.have.Containers[i]
		stays := c.OneOff || b.want.Services[c.Service] == nil && !(b.opt.RemoveOrphans && !slices.Contains(b.want.Known, c.Service))
		if !stays || !c.Active() {
			continue
		}
		for _, net := range c.Networks {
			if remade[net] {
				b.diags = append(b.diags, &diag.Diagnostic{
					Code: "network-in-use", Summary: "a network has to be made anew and a container that is not to be touched is on it",
					Detail: fmt.Sprintf("network %s is other than the file says (%s), and %s runs on it", net, joinReasons(b.diverged[net]), c.Name),
					Hint:   "stop that container, or remove it: --remove-orphans, if its service is no longer in the file", Address: "networks." + b.want.Networks[net].Key,
				})
			}
		}
	}
}

// containersOf are the lasting containers of a service, lowest number first.
func (b *builder) containersOf(service string) []*ContainerState {
	var found []*ContainerState
	for i := range b.have.Containers {
		if c := &b.have.Containers[i]; c.Service == service && !c.OneOff {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(x, y *ContainerState) int {
		return cmp.Or(cmp.Compare(x.Replica, y.Replica), strings.Compare(x.ID, y.ID))
	})
	return found
}

// NameOf is the name of a replica of s.
func (s *Service) NameOf(project string, number int) string {
	if s.ContainerName != "" {
		return s.ContainerName
	}
	return fmt.Sprintf("%s-%s-%d", project, s.Name, number)
}

// decide chooses the containers of a service that stay, lowest numbers first, fills the gaps below, and says what
// happens to each. Precondition: what the service depends on is decided.
func (b *builder) decide(name string) {
	s := b.want.Services[name]
	d := &decision{service: s}
	b.decided[name] = d

	have := b.containersOf(name)
	// Of two with one number the one that is called as it should stays.
	misnamed := func(c *ContainerState) int {
		if c.Name == s.NameOf(b.want.Project, c.Replica) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(have, func(x, y *ContainerState) int {
		return cmp.Or(cmp.Compare(x.Replica, y.Replica), cmp.Compare(misnamed(x), misnamed(y)))
	})
	encoded := Encode(s.Spec)
	byNumber := map[int]*replica{}
	for group := range groups(have) {
		n := group[0].Replica
		if len(byNumber) >= s.Replicas {
			for _, c := range group {
				d.surplus = append(d.surplus, surplus{state: c, reason: Reason{Path: fmt.Sprintf("%s has %d too many", name, len(have)-s.Replicas)}})
			}
			continue
		}
		r := &replica{number: n}
		var rest []*ContainerState
		r.have, r.next, rest = b.choose(s, group, encoded)
		for _, c := range rest {
			d.surplus = append(d.surplus, surplus{state: c, reason: leftBy(c, r.have)})
		}
		byNumber[n] = r
	}
	if b.opt.Heal {
		d.surplus = nil
	}
	for n := 1; len(byNumber) < s.Replicas; n++ {
		if byNumber[n] == nil {
			byNumber[n] = &replica{number: n}
		}
	}
	for n, r := range byNumber {
		r.name = s.NameOf(b.want.Project, n)
		if b.opt.Heal {
			b.healReplica(d, r)
		} else {
			b.decideReplica(d, r, encoded)
		}
		if r.have == nil && r.action == NoOp && !r.late {
			continue // it is not there, and not to be
		}
		d.replicas = append(d.replicas, r)
	}
	slices.SortFunc(d.replicas, func(x, y *replica) int { return cmp.Compare(x.number, y.number) })
	b.decideRollout(d)
	for _, r := range d.replicas {
		if r.have != nil && r.have.Status != StatusCreated && (r.action == Replace || r.action == Restart) {
			d.disturbs = true
		}
		if b.opt.Heal && (r.action == Create || r.action == Start && r.have.Status == StatusExited) {
			d.disturbs = true // it was there a moment ago
		}
	}
}

func (b *builder) decideReplica(d *decision, r *replica, encoded string) {
	c := r.have
	if c == nil {
		r.action, r.reasons = Create, []Reason{{Path: "it does not exist"}}
		return
	}
	if c.Gone != "" {
		r.action, r.reasons = Replace, []Reason{{Path: c.Gone}}
		return
	}
	if r.reasons = b.differences(d.service, r, encoded); len(r.reasons) == 0 && r.next != nil {
		r.reasons = []Reason{{Path: "an update of it did not end"}}
	}
	if len(r.reasons) > 0 && !b.opt.NoRecreate {
		r.action = Replace
		return
	}
	r.reasons = nil
	onRemade := slices.ContainsFunc(c.Networks, func(net string) bool { return b.diverged[net] != nil })
	if c.Status == StatusPaused && !onRemade {
		r.action = NoOp // somebody's wish
		return
	}
	if c.Active() {
		if r.reasons = b.disturbances(d.service, c); len(r.reasons) > 0 {
			r.action = Restart
			return
		}
		if r.reasons = c.mendable(); len(r.reasons) > 0 {
			r.action = Mend
			return
		}
	}
	switch {
	case c.Active() || b.opt.NoStart:
		r.action = NoOp
	case c.Status == StatusExited && c.ExitCode == 0 && b.awaited(d.service.Name):
		r.action, r.done = NoOp, true
	case c.done(b.opt.Begun):
		r.action = NoOp
	case c.Status == StatusExited:
		r.action, r.reasons = Start, []Reason{{Path: fmt.Sprintf("it has exited with code %d", c.ExitCode)}}
	default:
		r.action, r.reasons = Start, []Reason{{Path: "it does not run"}}
	}
}

// differences are why c has to be made anew.
func (b *builder) differences(s *Service, r *replica, encoded string) []Reason {
	reasons := Diff(r.have.Encoded, encoded)
	if r.have.Name != r.name {
		reasons = append(reasons, Reason{"container_name", r.have.Name, r.name})
	}
	if id, local := b.have.Images[s.Spec.ImageKey()]; local && id != r.have.Image {
		reasons = append(reasons, Reason{"image id of " + s.Spec.Image, shortImage(r.have.Image), shortImage(id)})
	}
	reasons = append(reasons, b.otherMounted(s, r.have)...)
	if len(reasons) == 0 && b.forced(s.Name) {
		reasons = []Reason{{Path: "asked for by --force-recreate"}}
		if b.opt.AlwaysDeps && !b.named(s.Name) {
			reasons = []Reason{{Path: "asked for by --always-recreate-deps"}}
		}
	}
	return reasons
}

// otherMounted are the images that c has mounted and that are others by now. One that the file has changed is a difference anyway.
func (b *builder) otherMounted(s *Service, c *ContainerState) []Reason {
	var reasons []Reason
	s.Spec.eachMounted(func(ref, at string) {
		was := c.Mounted[ref]
		id, local := b.have.Images[ImageKey(ref, s.Spec.Platform)]
		why := Reason{"image id of " + ref, shortImage(was), shortImage(id)}
		if local && was != "" && id != was && !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	})
	return reasons
}

// disturbances are why a container that is right as it is must stop and start again.
func (b *builder) disturbances(s *Service, c *ContainerState) []Reason {
	var reasons []Reason
	if c.MustRestart {
		reasons = c.problems()
	}
	if b.opt.OwnOnly {
		return reasons
	}
	for _, m := range s.Spec.Mounts {
		if why := b.lost(m); why != "" {
			reasons = append(reasons, Reason{Path: why})
		}
	}
	for _, net := range c.Networks {
		if b.diverged[net] != nil {
			reasons = append(reasons, Reason{Path: "network " + net + " is made anew"})
		}
	}
	for _, dep := range sortedKeys(s.DependsOn) {
		if d := b.decided[dep]; d != nil && d.disturbs && s.DependsOn[dep].Restart {
			reasons = append(reasons, Reason{Path: dep + ", which it depends on with restart: true, is made anew or restarted"})
		}
	}
	return reasons
}

func (b *builder) named(service string) bool {
	return len(b.opt.Services) == 0 || slices.Contains(b.opt.Services, service)
}

func (b *builder) forced(service string) bool {
	if b.named(service) {
		return b.opt.ForceRecreate
	}
	return b.opt.AlwaysDeps
}

// awaited says whether some service waits for this one's completion.
func (b *builder) awaited(service string) bool {
	return slices.ContainsFunc(b.deps.Users(service), func(u string) bool {
		return b.want.Services[u].DependsOn[service].Condition == Completed
	})
}

// rerunCompleted starts a task that has completed once more when somebody who waits for it is started, or when it was
// asked for by name. Else it stays done: a task is not run again by an up that changes nothing.
func (b *builder) rerunCompleted() {
	for _, name := range slices.Backward(b.order) {
		d := b.decided[name]
		var why Reason
		for _, user := range b.deps.Users(name) {
			if u := b.decided[user]; u != nil && u.starts() && u.service.DependsOn[name].Condition == Completed {
				why.Path = user + ", which waits for its completion, starts"
				break
			}
		}
		if slices.Contains(b.opt.Services, name) {
			why.Path = "it was asked for by name"
		}
		if why.Path == "" {
			continue
		}
		for _, r := range d.replicas {
			if r.done && !r.have.done(b.opt.Begun) {
				r.action, r.done, r.reasons = Start, false, []Reason{why}
			}
		}
	}
}

// shortImage is the id of an image, sha256:…, as users are shown it.
func shortImage(id string) string {
	_, hex, ok := strings.Cut(id, ":")
	if !ok {
		hex = id
	}
	return objectid.Short(hex)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
