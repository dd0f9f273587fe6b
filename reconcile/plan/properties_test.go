package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const imageID = "sha256:aaaaaaaaaaaaaaaa"

// The model of a host that plans are carried out on: it refuses what a kernel would, and what no plan may do.
type model struct {
	*Observed
	want *Desired
	gone map[string]bool // containers that the plan takes away
	left map[string]bool // those of them whose place nobody takes, by name

	changed bool // by more than pulls and builds

	prepared map[string][]int // by container: what has run before its start
	done     map[string]bool  // by service: what is to be done once, when none of it runs
}

func newModel(have *Observed, want *Desired) *model {
	c := *have
	c.Images, c.Networks, c.Volumes = maps.Clone(have.Images), maps.Clone(have.Networks), maps.Clone(have.Volumes)
	c.Containers = slices.Clone(have.Containers)
	return &model{Observed: &c, want: want, gone: map[string]bool{}, left: map[string]bool{}, prepared: map[string][]int{}, done: map[string]bool{}}
}

func (m *model) find(id string) *ContainerState {
	for i := range m.Containers {
		if m.Containers[i].ID == id {
			return &m.Containers[i]
		}
	}
	return nil
}

func madeID(service string, replica int) string { return fmt.Sprintf("made-%s-%d", service, replica) }

func (m *model) do(op Operation) error {
	switch op.(type) {
	case PullImage, BuildImage:
	default:
		defer func() { m.changed = true }()
	}
	switch op := op.(type) {
	case PullImage:
		m.Images[ImageKey(op.Ref, op.Platform)] = imageID // no plan can know what else a registry would give
	case BuildImage:
		if m.changed {
			return fmt.Errorf("something was changed before it")
		}
		for _, from := range m.want.Services[op.Service].Build.From {
			if _, local := m.Images[m.want.Services[from].Spec.ImageKey()]; !local {
				return fmt.Errorf("image of %s, which it is built on, is not there", from)
			}
		}
		m.Images[ImageKey(op.Ref, op.Platform)] = imageID
	case CreateNetwork:
		w := m.want.Networks[op.Name]
		m.Networks[op.Name] = NetworkState{Name: op.Name, Project: m.want.Project, Encoded: Encode(w.Spec)}
	case DeleteNetwork:
		for _, c := range m.Containers {
			if (c.Status == StatusRunning || c.Status == StatusPaused) && slices.Contains(c.Networks, op.Name) {
				return fmt.Errorf("%s is on it and runs", c.Name)
			}
		}
		delete(m.Networks, op.Name)
	case CreateVolume:
		if v, there := m.Volumes[op.Name]; there && v.Problem == "" {
			return fmt.Errorf("it is there")
		}
		m.Volumes[op.Name] = VolumeState{Name: op.Name, Project: m.want.Project, Encoded: Encode(m.want.Volumes[op.Name].Spec)}
	case CreateContainer:
		s := m.want.Services[op.Service]
		if slices.ContainsFunc(m.Containers, func(c ContainerState) bool { return c.Name == op.Name && (c.ID != op.Succeeds || !c.Active()) }) {
			return fmt.Errorf("there is one of that name")
		}
		image, local := m.Images[s.Spec.ImageKey()]
		if !local {
			return fmt.Errorf("its image is not there")
		}
		m.Containers = append(m.Containers, ContainerState{
			ID: madeID(op.Service, op.Replica), Service: op.Service, Replica: op.Replica, Name: op.Name, Encoded: Encode(s.Spec), Image: image,
			Status: StatusCreated, Networks: sortedKeys(s.Spec.Networks), Anonymous: op.Anonymous, PreStart: s.Spec.PreStart,
		})
	case RunPreStart:
		id := op.ContainerID
		if id == "" {
			id = madeID(op.Service, op.Replica)
		}
		return m.prepare(m.find(id), op.Steps)
	case ReserveStart:
		if c := m.find(op.ContainerID); c == nil || !c.Active() {
			return fmt.Errorf("it does not run")
		}
	case StartContainer:
		id := op.ContainerID
		if id == "" {
			id = madeID(op.Service, op.Replica)
		}
		return m.start(m.find(id))
	case StopContainer:
		c := m.find(op.ContainerID)
		if c == nil || !c.Active() {
			return fmt.Errorf("it does not run")
		}
		c.Status, c.Healthy, c.ExitCode = StatusExited, false, 137
		c.heal()
		delete(m.prepared, c.ID)
	case MendNetwork:
		c := m.find(op.ContainerID)
		if c == nil || c.Status != StatusRunning {
			return nil // it may have ended meanwhile
		}
		if err := m.whole(c.Networks); err != nil {
			return err
		}
		c.NetworkProblem = ""
	case MendContainer:
		c := m.find(op.ContainerID)
		if c == nil || c.Status != StatusRunning {
			return nil
		}
		c.Problem = ""
	case DeleteContainer:
		c := m.find(op.ContainerID)
		if c == nil || c.Active() {
			return fmt.Errorf("it runs, or is not there")
		}
		m.Containers = slices.DeleteFunc(m.Containers, func(x ContainerState) bool { return x.ID == op.ContainerID })
	case WaitReady:
		for _, n := range op.Replicas {
			c := m.replica(op.Service, n)
			if c == nil {
				return fmt.Errorf("%s/%d is not there", op.Service, n)
			}
			if !m.meets(c, op.Condition) && !op.Optional && c.Status != StatusPaused {
				return fmt.Errorf("%s is %s", c.Name, c.Status)
			}
		}
	default:
		return fmt.Errorf("the model does not know it")
	}
	return nil
}

// heal is what another run does.
func (c *ContainerState) heal() {
	c.Problem, c.NetworkProblem, c.MustRestart, c.Unhealthy, c.Lost = "", "", false, false, ""
}

// whole says whether networks are there and in order. One that the file has no more is for nobody to make; only --no-recreate and
// healing get to those.
func (m *model) whole(networks []string) error {
	for _, net := range networks {
		if n, there := m.Networks[net]; m.want.Networks[net].Name != "" && (!there || n.Problem != "") {
			return fmt.Errorf("network %s is not there, or %q", net, n.Problem)
		}
	}
	return nil
}

func (m *model) replica(service string, number int) *ContainerState {
	for i := range m.Containers {
		if c := &m.Containers[i]; c.Service == service && c.Replica == number && !c.OneOff {
			return c
		}
	}
	return nil
}

// serves says whether a container of service runs.
func (m *model) serves(service string) bool {
	return slices.ContainsFunc(m.Containers, func(c ContainerState) bool { return c.Service == service && !c.OneOff && c.Active() })
}

// prepare runs steps of c's pre_start.
func (m *model) prepare(c *ContainerState, steps []int) error {
	if c == nil || c.Active() {
		return fmt.Errorf("it runs, or is not there")
	}
	for _, i := range steps {
		if !m.prepares(c, i) {
			return fmt.Errorf("pre_start[%d] runs although %s does, or for a second time", i, c.Service)
		}
	}
	if _, local := m.Images["step:1"]; !local {
		return fmt.Errorf("the image of a step is not there")
	}
	m.prepared[c.ID] = steps
	return nil
}

func (m *model) prepares(c *ContainerState, step int) bool {
	if c.PreStart[step].PerReplica {
		return true
	}
	before := m.done[c.Service]
	m.done[c.Service] = true
	return !before && !m.serves(c.Service)
}

func (m *model) start(c *ContainerState) error {
	if c == nil || c.Status == StatusRunning || c.Status == StatusPaused {
		return fmt.Errorf("it runs, or is not there")
	}
	for i, step := range c.PreStart {
		if !slices.Contains(m.prepared[c.ID], i) && (step.PerReplica || !m.done[c.Service] && !m.serves(c.Service)) {
			return fmt.Errorf("pre_start[%d] has not run", i)
		}
	}
	if c.Gone != "" {
		return fmt.Errorf("%s", c.Gone)
	}
	if err := m.whole(c.Networks); err != nil {
		return err
	}
	for _, mount := range m.want.Services[c.Service].Spec.Mounts {
		if v, there := m.Volumes[mount.Source]; mount.Source != "" && (!there || v.Project == m.want.Project && v.Problem != "") {
			return fmt.Errorf("volume %s is not there, or %q", mount.Source, v.Problem)
		}
	}
	// Ports of the host. Somebody whom the plan does not touch and who has one is for the preflight. A replica that is replaced leaves what it
	// has of a range to its successor.
	for i := range m.Containers {
		if o := &m.Containers[i]; o != c && m.gone[o.ID] && o.Status == StatusRunning && strings.Contains(o.Encoded, `"published":8080`) && strings.Contains(c.Encoded, `"published":8080`) &&
			(o.Service != c.Service || m.left[o.Name]) {
			return fmt.Errorf("%s has its port", o.Name)
		}
	}
	c.Status, c.Healthy = StatusRunning, false
	c.heal()
	return nil
}

// meets lets time go by: what runs becomes healthy, a task ends.
func (m *model) meets(c *ContainerState, cond Condition) bool {
	switch cond {
	case Healthy:
		c.Healthy = c.Healthy || c.Status == StatusRunning || c.Status == StatusRestarting
		return c.Healthy
	case Completed:
		if c.Status == StatusRunning || c.Status == StatusRestarting {
			c.Status, c.ExitCode, c.Healthy = StatusExited, 0, false
			c.heal() // problems are of what runs
		}
		return c.Status == StatusExited && c.ExitCode == 0
	}
	return c.Active()
}

// later is the host a while after: whoever is awaited has got there.
func (m *model) later() {
	for _, s := range m.want.Services {
		for name, dep := range s.DependsOn {
			for i := range m.Containers {
				if c := &m.Containers[i]; c.Service == name {
					m.meets(c, dep.Condition)
				}
			}
		}
	}
	slices.SortFunc(m.Containers, func(a, b ContainerState) int { return strings.Compare(a.ID, b.ID) })
}

// apply carries p out in an order that r chooses among those that Needs and After allow.
func (m *model) apply(p *Plan, r *rand.Rand) error {
	for _, s := range p.Steps {
		if del, ok := s.Op.(DeleteContainer); ok {
			m.gone[del.ContainerID] = true
		}
	}
	for _, c := range p.Changes {
		m.left[c.Name] = m.left[c.Name] || c.Action == Delete
	}
	done := map[int]bool{}
	for len(done) < len(p.Steps) {
		var ready []Step
		for _, s := range p.Steps {
			waits := func(n int) bool { return !done[n] }
			if !done[s.ID] && !slices.ContainsFunc(s.Needs, waits) && !slices.ContainsFunc(s.After, waits) {
				ready = append(ready, s)
			}
		}
		if len(ready) == 0 {
			return fmt.Errorf("steps wait for each other")
		}
		s := ready[r.IntN(len(ready))]
		if err := m.do(s.Op); err != nil {
			return fmt.Errorf("#%d %s: %w", s.ID, s.Op, err)
		}
		done[s.ID] = true
	}
	return nil
}

func oneOf[T any](r *rand.Rand, items ...T) T { return items[r.IntN(len(items))] }

// randomDesired is a project of up to six services, which may depend on those before them.
func randomDesired(r *rand.Rand) *Desired {
	d := &Desired{Project: "shop", Networks: map[string]Network{}, Volumes: map[string]Volume{}, Services: map[string]*Service{}}
	for _, key := range []string{"a", "b"} {
		d.Networks["shop_"+key] = Network{Name: "shop_" + key, Key: key, Spec: NetworkSpec{Internal: r.IntN(3) == 0}}
		d.Volumes["shop_"+key] = Volume{Name: "shop_" + key, Key: key}
	}
	if r.IntN(8) == 0 {
		d.Networks["out"] = Network{Name: "out", Key: "out", External: true}
	}
	published := false
	for i := range 1 + r.IntN(6) {
		s := &Service{Name: fmt.Sprintf("s%d", i), Replicas: r.IntN(4), Spec: Spec{Image: oneOf(r, "app:1", "app:2"), Networks: map[string]Endpoint{}}, DependsOn: map[string]Dependency{}}
		for _, net := range sortedKeys(d.Networks) {
			if r.IntN(2) == 0 {
				s.Spec.Networks[net] = Endpoint{}
			}
		}
		if r.IntN(3) == 0 {
			s.Spec.Mounts = []Mount{{Type: "volume", Source: oneOf(r, "shop_a", "shop_b", ""), Target: "/d"}}
		}
		if r.IntN(2) == 0 {
			s.Spec.Environment = map[string]string{"E": fmt.Sprint(r.IntN(2))}
		}
		if r.IntN(4) == 0 {
			s.Spec.PreStart = []InitStep{{Hook: Hook{Command: []string{fmt.Sprint(r.IntN(2))}}, Image: "step:1", PerReplica: r.IntN(2) == 0}}
		}
		if !published && r.IntN(4) == 0 {
			published = true
			s.Spec.Ports = []Port{{Published: 8080, Target: 80, Protocol: "tcp"}}
			if r.IntN(2) == 0 {
				s.Spec.Ports[0].PublishedEnd = 8083
			} else {
				s.Replicas = min(s.Replicas, 1)
			}
		}
		if s.Replicas == 1 && r.IntN(6) == 0 {
			s.ContainerName = "own-" + s.Name
		}
		for j := range i {
			if r.IntN(3) == 0 {
				s.DependsOn[fmt.Sprintf("s%d", j)] = Dependency{Condition: oneOf(r, Started, Healthy), Restart: r.IntN(2) == 0, Required: r.IntN(4) > 0}
			}
		}
		d.Services[s.Name] = s
	}
	// A task: whoever depends on the first service waits for its end.
	if r.IntN(3) == 0 {
		for _, s := range d.Services {
			if dep, ok := s.DependsOn["s0"]; ok {
				dep.Condition = Completed
				s.DependsOn["s0"] = dep
			}
		}
	}
	return d
}

// withBuilds has some of want's images built, of which some are on the host, and some are to be built again.
func withBuilds(r *rand.Rand, want *Desired, have *Observed, opt *Options) {
	if r.IntN(2) == 0 {
		return
	}
	opt.NoBuild, opt.Rebuild = r.IntN(10) == 0, map[string]string{}
	var built []string
	for _, name := range sortedKeys(want.Services) {
		if r.IntN(3) > 0 {
			continue
		}
		s := want.Services[name]
		s.Spec.Image, s.Build = oneOf(r, "made:1", "shop-"+name), &Recipe{}
		s.Build.Named = s.Spec.Image == "made:1"
		if len(built) > 0 && r.IntN(2) == 0 {
			s.Build.From = []string{oneOf(r, built...)}
		}
		built = append(built, name)
		if r.IntN(2) == 0 {
			if have.Images[s.Spec.Image] = imageID; r.IntN(3) == 0 && !opt.NoBuild {
				opt.Rebuild[s.Spec.Image] = "asked for by --build"
			}
		}
	}
}

// randomObserved is a host on which some project was brought up, maybe want's, and to which then anything happened.
func randomObserved(r *rand.Rand, want *Desired) *Observed {
	was := want
	if r.IntN(2) == 0 {
		was = randomDesired(r)
	}
	have := made(was)
	for _, ref := range []string{"app:1", "app:2", "step:1"} {
		if have.Images[ref] = imageID; r.IntN(4) == 0 {
			delete(have.Images, ref)
		}
	}
	have.Containers = nil
	n := 0
	add := func(service, name string, replica int) {
		n++
		spec := Spec{Image: "app:1"}
		if s := was.Services[service]; s != nil {
			spec = s.Spec
		}
		c := ContainerState{
			ID: fmt.Sprintf("had-%d", n), Service: service, Replica: replica, Name: name, Encoded: Encode(spec), Image: imageID,
			Status:  oneOf(r, StatusRunning, StatusRunning, StatusRunning, StatusCreated, StatusRestarting, StatusPaused, StatusExited),
			Healthy: r.IntN(3) > 0, Networks: sortedKeys(spec.Networks), PreStart: spec.PreStart,
		}
		if have.Images["app:1"] != "" && have.Images["app:2"] != "" && r.IntN(4) == 0 {
			c.Image = "sha256:bbbbbbbbbbbbbbbb"
		}
		if c.Status == StatusExited {
			c.ExitCode, c.Lost = r.IntN(2), oneOf(r, "", "", "it was killed")
		}
		if c.Status == StatusRunning {
			if r.IntN(6) == 0 {
				c.NetworkProblem, c.MustRestart = "its network namespace is gone", r.IntN(2) == 0
			}
			if r.IntN(8) == 0 {
				c.Problem = "its memory limit is another"
			}
			c.Unhealthy = !c.Healthy && r.IntN(4) == 0
		}
		if r.IntN(20) == 0 {
			c.Gone = "its root filesystem is gone"
		}
		if r.IntN(20) == 0 {
			c.Encoded = "damaged{" // a record of another program's making
		}
		if r.IntN(4) == 0 {
			c.Anonymous = map[string]string{"/d": "anon"}
		}
		have.Containers = append(have.Containers, c)
	}
	for _, name := range sortedKeys(was.Services) {
		s := was.Services[name]
		for i := range s.Replicas + r.IntN(2) {
			if r.IntN(5) > 0 {
				add(name, s.NameOf("shop", i+1), i+1)
			}
		}
		if r.IntN(10) == 0 { // two with one number
			add(name, "twin-of-"+name, 1)
		}
	}
	if r.IntN(4) == 0 {
		add("orphan", "shop-orphan-1", 1)
	}
	if r.IntN(4) == 0 {
		add("s0", "shop-s0-run-1", 1)
		have.Containers[len(have.Containers)-1].OneOff = true
	}
	for _, name := range sortedKeys(have.Networks) {
		s := have.Networks[name]
		switch r.IntN(10) {
		case 0:
			delete(have.Networks, name)
			continue
		case 1:
			if name != "out" { // that one is for its own project to mend
				s.Problem = "its bridge is gone"
			}
		case 2:
			if r.IntN(4) == 0 {
				s.Project = "somebody"
			}
		case 3:
			s.Encoded = Encode(NetworkSpec{Driver: "bridge", Internal: true})
		}
		have.Networks[name] = s
	}
	for name := range want.Volumes {
		if v := (VolumeState{Name: name, Project: oneOf(r, "shop", "shop", ""), Encoded: oneOf(r, Encode(VolumeSpec{}), Encode(VolumeSpec{Driver: "local"}))}); r.IntN(3) > 0 {
			if r.IntN(6) == 0 {
				v.Problem = "its directory is gone"
			}
			have.Volumes[name] = v
		}
	}
	return have
}

func randomOptions(r *rand.Rand, want *Desired) Options {
	rare := func() bool { return r.IntN(6) == 0 }
	o := Options{ForceRecreate: rare(), NoRecreate: rare(), AlwaysDeps: rare(), RenewAnon: rare(), RemoveOrphans: r.IntN(2) == 0, NoStart: rare(), NoDeps: rare()}
	if rare() {
		o.Services = []string{oneOf(r, sortedKeys(want.Services)...)}
	}
	if rare() {
		o.Timeout = new(time.Duration)
	}
	return o
}

// TestPlansOfRandomHosts: whatever the file says and whatever is on the host, the plan can be carried out in each order that
// it allows, each gives the same host, and then nothing is left to do.
func TestPlansOfRandomHosts(t *testing.T) {
	seeds := uint64(2000)
	if os.Getenv("STACK_TEST_LONG") != "" {
		seeds = 30000
	}
	planned, refused := uint64(0), 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 4))
		want := randomDesired(r)
		have := randomObserved(r, want)
		opt := randomOptions(r, want)
		withBuilds(rand.New(rand.NewPCG(seed, 9)), want, have, &opt)
		fail := func(format string, args ...any) {
			t.Helper()
			p, _ := Build(want, have, opt)
			t.Fatalf("seed %d, %+v: %s\nthe plan:\n%s\nfrom %+v\nto %+v", seed, opt, fmt.Sprintf(format, args...), p, have.Containers, want.Services)
		}
		p, diags := Build(want, have, opt)
		if diags.HasErrors() {
			refused++
			continue
		}
		planned++
		for i, s := range p.Steps {
			if s.ID != i+1 || slices.ContainsFunc(append(slices.Clone(s.Needs), s.After...), func(n int) bool { return n < 1 || n >= s.ID }) {
				fail("step %d waits for a later one", s.ID)
			}
		}
		if again, _ := Build(want, have, opt); again.String() != p.String() {
			fail("another Build of the same gives another plan:\n%s", again)
		}
		var ends []string
		var end *model
		for order := range uint64(2) {
			end = newModel(have, want)
			if err := end.apply(p, rand.New(rand.NewPCG(seed, order))); err != nil {
				fail("it cannot be carried out: %v", err)
			}
			end.later()
			ends = append(ends, fmt.Sprintf("%+v", *end.Observed))
		}
		if ends[0] != ends[1] {
			fail("two orders end in two states:\n%s\n%s", ends[0], ends[1])
		}
		opt.ForceRecreate, opt.AlwaysDeps, opt.Rebuild = false, false, nil // asked for once
		isTask := func(c ContainerState) bool {
			return slices.Contains(opt.Services, c.Service) && c.Status == StatusExited
		}
		if slices.ContainsFunc(end.Containers, isTask) {
			continue // a task that is named runs at each up
		}
		if left, diags := Build(want, end.Observed, opt); diags.HasErrors() || !left.Empty() {
			fail("once more there is something to do:\n%s%v\non %s", left, diags, ends[0])
		}
	}
	t.Logf("%d plans, %d hosts on which nothing may be done", planned, refused)
	if planned < seeds*2/3 {
		t.Errorf("only %d of %d could be planned: the projects and hosts are not those that they were", planned, seeds)
	}
}
