package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHealing says for each damage what is done about it, and who follows.
func TestHealing(t *testing.T) {
	pair := func() *Desired {
		d := want(svc("db", nil), svc("web", dep("db", Healthy, true)))
		d.Volumes = map[string]Volume{"shop_data": {Name: "shop_data", Key: "data"}}
		d.Services["db"].Spec.Mounts = []Mount{{Type: "volume", Source: "shop_data", Target: "/data"}}
		return d
	}
	type change func(*Desired, *Observed, *Options)
	container := func(name string, do func(*ContainerState)) change {
		return func(_ *Desired, h *Observed, _ *Options) {
			for i := range h.Containers {
				if h.Containers[i].Service == name {
					do(&h.Containers[i])
				}
			}
		}
	}
	kill := func(c *ContainerState) { c.Status, c.Healthy, c.ExitCode, c.Lost = StatusExited, false, 137, "killed" }
	remove := func(name string) change {
		return func(_ *Desired, h *Observed, _ *Options) {
			h.Containers = slices.DeleteFunc(h.Containers, func(c ContainerState) bool { return c.Service == name })
		}
	}
	hold := func(id ID) change { return func(_ *Desired, _ *Observed, o *Options) { o.Hold[id] = true } }
	off := func(service string) change {
		return func(_ *Desired, _ *Observed, o *Options) { o.Off[Container(service, 1)] = true }
	}
	db, web := Container("db", 1), Container("web", 1)
	for name, tt := range map[string]struct {
		changes []change
		want    string // action and name, in order
	}{
		"nothing": {nil, ""},
		"another file and another image": {[]change{func(d *Desired, h *Observed, _ *Options) {
			d.Services["db"].Spec.Environment = map[string]string{"A": "1"}
			d.Networks["shop_default"] = Network{Name: "shop_default", Key: "default", Spec: NetworkSpec{Internal: true}}
			h.Images["app:1"] = "sha256:bbbb"
		}}, ""},
		"killed, and the dependent with restart: true follows": {[]change{container("db", kill)}, "start shop-db-1, restart shop-web-1"},
		"killed, and nobody depends on it":                     {[]change{container("web", kill)}, "start shop-web-1"},
		"both killed":                                          {[]change{container("db", kill), container("web", kill)}, "start shop-db-1, start shop-web-1"},
		"killed and said to stay":                              {[]change{container("web", kill), func(d *Desired, _ *Observed, _ *Options) { d.Services["web"].StayDown = true }}, ""},
		"killed, and another with its number runs": {[]change{func(_ *Desired, h *Observed, _ *Options) {
			for _, c := range h.Containers {
				if c.Service == "web" {
					c.ID, c.Name = "other", "shop-web-1-other"
					h.Containers = append(h.Containers, c)
				}
			}
		}, func(_ *Desired, h *Observed, _ *Options) {
			for i := range h.Containers {
				if c := &h.Containers[i]; c.Name == "shop-web-1" {
					kill(c)
				}
			}
		}}, ""},
		"killed and stopped":      {[]change{container("web", kill), off("web")}, ""},
		"ended by itself":         {[]change{container("db", func(c *ContainerState) { c.Status, c.ExitCode = StatusExited, 1 })}, ""},
		"a restart was cut short": {[]change{container("db", func(c *ContainerState) { c.Status, c.ExitCode = StatusExited, 143 }), func(_ *Desired, _ *Observed, o *Options) { o.Owed = Debts{db: {}} }}, "start shop-db-1, restart shop-web-1"},
		"a restart was cut short after its stop had to kill": {[]change{container("web", func(c *ContainerState) { kill(c); c.StartedAt = time.Unix(1, 0) }), func(d *Desired, _ *Observed, o *Options) {
			d.Services["web"].StayDown = true
			o.Owed = Debts{web: {Run: time.Unix(1, 0)}}
		}}, "start shop-web-1"},
		"its policy starts it":     {[]change{container("db", func(c *ContainerState) { c.Status = StatusRestarting })}, ""},
		"paused, with a problem":   {[]change{container("db", func(c *ContainerState) { c.Status, c.Problem = StatusPaused, "p" })}, ""},
		"never started":            {[]change{container("web", func(c *ContainerState) { c.Status = StatusCreated })}, "start shop-web-1"},
		"deleted":                  {[]change{remove("db")}, "create shop-db-1, restart shop-web-1"},
		"removed by a command":     {[]change{remove("db"), off("db")}, ""},
		"not brought up":           {[]change{remove("db"), func(_ *Desired, _ *Observed, o *Options) { o.Services = []string{"web"} }}, ""},
		"nothing was brought up":   {[]change{remove("db"), func(_ *Desired, _ *Observed, o *Options) { o.Services = nil }}, ""},
		"its snapshot":             {[]change{container("web", func(c *ContainerState) { c.Gone = "gone" })}, "recreate shop-web-1"},
		"unhealthy":                {[]change{container("db", func(c *ContainerState) { c.Healthy, c.Unhealthy = false, true })}, "restart shop-db-1, restart shop-web-1"},
		"its limits":               {[]change{container("db", func(c *ContainerState) { c.Problem = "p" })}, "mend shop-db-1"},
		"its veth":                 {[]change{container("db", func(c *ContainerState) { c.NetworkProblem = "p" })}, "mend shop-db-1"},
		"its veth, beyond mending": {[]change{container("db", func(c *ContainerState) { c.NetworkProblem, c.MustRestart = "p", true })}, "restart shop-db-1, restart shop-web-1"},
		"a bridge": {[]change{func(_ *Desired, h *Observed, _ *Options) {
			h.Networks["shop_default"] = NetworkState{Name: "shop_default", Project: "shop", Problem: "p"}
		}, container("db", func(c *ContainerState) { c.NetworkProblem = "p" })}, "mend shop_default, mend shop-db-1"},
		"a bridge, and nobody runs": {[]change{func(_ *Desired, h *Observed, _ *Options) { delete(h.Networks, "shop_default") }, remove("db"), remove("web"), off("db"), off("web")}, ""},
		"a volume": {[]change{func(_ *Desired, h *Observed, _ *Options) {
			h.Volumes["shop_data"] = VolumeState{Name: "shop_data", Project: "shop", Problem: "p"}
		}}, "mend shop_data, restart shop-db-1, restart shop-web-1"},
		"held, and who needs it waits":      {[]change{container("db", kill), container("web", kill), hold(db)}, ""},
		"held, and who runs is left":        {[]change{container("db", kill), hold(db)}, ""},
		"who needs it is held":              {[]change{container("db", kill), container("web", kill), hold(web)}, "start shop-db-1"},
		"a stopped dependency holds nobody": {[]change{container("db", kill), off("db"), container("web", kill)}, "start shop-web-1"},
		"an orphan and one too many": {[]change{func(_ *Desired, h *Observed, _ *Options) {
			h.Containers = append(h.Containers, ContainerState{ID: "o", Service: "gone", Replica: 1, Name: "shop-gone-1", Status: StatusExited, Lost: "killed"},
				ContainerState{ID: "s", Service: "web", Replica: 2, Name: "shop-web-2", Status: StatusExited, Lost: "killed"})
		}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := pair()
			h := made(d)
			h.Volumes["shop_data"] = VolumeState{Name: "shop_data", Project: "shop", Encoded: Encode(VolumeSpec{})}
			o := Options{Heal: true, NoDeps: true, Services: []string{"db", "web"}, Off: map[ID]bool{}, Hold: map[ID]bool{}}
			for _, c := range tt.changes {
				c(d, h, &o)
			}
			p, diags := Build(d, h, o)
			if err := diags.Err(); err != nil || len(diags) > 0 {
				t.Fatal(diags)
			}
			var got []string
			for _, c := range p.Changes {
				got = append(got, string(c.Action)+" "+c.Name)
			}
			slices.SortFunc(got, func(a, b string) int { // networks and volumes first, as they are listed
				return strings.Compare(strings.ReplaceAll(a, "shop_", " "), strings.ReplaceAll(b, "shop_", " "))
			})
			expected := strings.Split(tt.want, ", ")
			if tt.want == "" {
				expected = nil
			}
			slices.SortFunc(expected, func(a, b string) int {
				return strings.Compare(strings.ReplaceAll(a, "shop_", " "), strings.ReplaceAll(b, "shop_", " "))
			})
			if !slices.Equal(got, expected) {
				t.Errorf("got %v\n%s", got, p)
			}
		})
	}
}

// TestHealingOfRandomHosts: it can be carried out, ends in one state whatever the order, leaves nothing to heal, touches nobody whom a
// user has stopped, and removes nothing but to make it anew.
func TestHealingOfRandomHosts(t *testing.T) {
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 5))
		want := randomDesired(r)
		have := randomObserved(r, want)
		// Two of one number are for an up to put in order.
		have.Containers = slices.DeleteFunc(have.Containers, func(c ContainerState) bool { return strings.HasPrefix(c.Name, "twin-of-") })
		opt := Options{Heal: true, NoDeps: true, Off: map[ID]bool{}, Hold: map[ID]bool{}}
		for _, name := range sortedKeys(want.Services) {
			s := want.Services[name]
			if s.StayDown = r.IntN(5) == 0; r.IntN(4) > 0 {
				opt.Services = append(opt.Services, name)
			}
			for n := range s.Replicas {
				if r.IntN(5) == 0 {
					opt.Off[Container(name, n+1)] = true
				}
			}
		}
		slices.Sort(opt.Services)
		fail := func(format string, args ...any) {
			t.Helper()
			p, _ := Build(want, have, opt)
			t.Fatalf("seed %d, %+v: %s\nthe plan:\n%s\nfrom %+v\nto %+v", seed, opt, fmt.Sprintf(format, args...), p, have.Containers, want.Services)
		}
		p, diags := Build(want, have, opt)
		if len(diags) > 0 {
			fail("%v", diags)
		}
		gone := map[string]bool{}
		for _, c := range have.Containers {
			gone[c.ID] = c.Gone != ""
		}
		for _, s := range p.Steps {
			switch op := s.Op.(type) {
			case DeleteContainer:
				if !gone[op.ContainerID] {
					fail("%s is removed", op.Name)
				}
			case DeleteNetwork, DeleteVolume:
				fail("%s", op)
			}
			if _, waits := s.Op.(WaitReady); opt.Off[s.For] && !waits {
				fail("%s is wished for by nobody", s.For)
			}
			if s.For.Kind == KindContainer && !slices.Contains(opt.Services, s.For.Name) {
				fail("%s was not brought up", s.For)
			}
		}
		// An external network that is not there, or somebody else's, fails those that are on it, and them only.
		if slices.ContainsFunc(slices.Collect(maps.Values(want.Networks)), func(n Network) bool {
			h, there := have.Networks[n.Name]
			return !there && n.External || there && h.Problem != "" && h.Project != want.Project
		}) {
			continue
		}
		var ends []string
		for order := range uint64(2) {
			end := newModel(have, want)
			for round := 0; ; round++ { // who depends on one that its policy is about to start comes after it
				p, diags := Build(want, end.Observed, opt)
				if len(diags) > 0 || round > 10 {
					fail("it does not come to an end: %v\n%s", diags, p)
				}
				if p.Empty() {
					break
				}
				if err := end.apply(p, rand.New(rand.NewPCG(seed, order))); err != nil {
					fail("round %d cannot be carried out: %v\n%s", round, err, p)
				}
				end.later()
				for i := range end.Containers {
					if c := &end.Containers[i]; c.Status == StatusRestarting {
						c.Status = StatusRunning
					}
				}
			}
			ends = append(ends, fmt.Sprintf("%+v", *end.Observed))
		}
		if ends[0] != ends[1] {
			fail("two orders end in two states:\n%s\n%s", ends[0], ends[1])
		}
	}
}
