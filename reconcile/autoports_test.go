package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/autoport"
	"github.com/stackrun/stack/reconcile/desire"
	"github.com/stackrun/stack/spec"
)

var auto = ask.UpOptions{Ports: ask.PortsAuto}

// publishing is a service with 8080 and whatever else.
func publishing(name string, more ...spec.Port) *spec.Service {
	return service(name, func(s *spec.Service) {
		s.Ports = append([]spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}, more...)
	})
}

// published are the host ports of container name, by target.
func (b *bench) published(project, name string) map[int]int {
	b.Helper()
	out := map[int]int{}
	for _, p := range b.rows(project)[name].Ports {
		if p.PublishedPort != 0 {
			out[p.TargetPort] = p.PublishedPort
		}
	}
	return out
}

func chosenFrom(n int) bool { return autoport.First <= n && n <= autoport.Last }

func TestAutoPortsAreKept(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx (pid 42)"
		p := project(publishing("web", spec.Port{Published: 9090, Target: 90, Protocol: "tcp"}, spec.Port{Target: 70, Protocol: "tcp"}))
		var planned *ask.Preview
		b.only(func() { planned = b.plan(p, auto) })
		if len(planned.Faults) > 0 || len(planned.Warnings) != 1 {
			b.Fatalf("the plan says %v, %v", planned.Warnings, planned.Faults)
		}
		b.up(p, auto)
		got := b.published("shop", "shop-web-1")
		if !chosenFrom(got[80]) || got[90] != 9090 || got[70] == 0 {
			b.Fatalf("it publishes %v", got)
		}
		if want := fmt.Sprintf("service web publishes %d in place of 8080: port 8080/tcp is taken by nginx (pid 42)", got[80]); planned.Warnings[0].Detail != want {
			b.Errorf("the plan says %q, want %q", planned.Warnings[0].Detail, want)
		}
		for _, row := range b.rows("shop")["shop-web-1"].Ports {
			if want := map[int]string{80: "8080", 90: "9090", 70: ""}[row.TargetPort]; row.Asked != want {
				b.Errorf("of %d it says that %q was asked for, want %q", row.TargetPort, row.Asked, want)
			}
		}
		same := func(when string) {
			b.Helper()
			if now := b.published("shop", "shop-web-1"); now[80] != got[80] || now[90] != 9090 {
				b.Errorf("%s it publishes %v, before %v", when, now, got)
			}
		}
		delete(b.host.Taken, "8080/tcp") // what was asked for is free again
		for what, o := range map[string]ask.UpOptions{"another up": {}, "another up that chooses": auto} {
			if ops := b.changes(func() { b.up(p, o) }); len(ops) > 0 {
				b.Errorf("%s did %v", what, ops)
			}
		}
		b.up(p, ask.UpOptions{ForceRecreate: true})
		same("made anew")
		b.reboot()
		same("after another daemon")
		if d := b.drift(); len(d.Changes) > 0 {
			b.Errorf("drift tells %v", d.Changes)
		}
		b.host.Reboot()
		b.kernel = "another"
		b.reboot()
		b.up(p, ask.UpOptions{})
		same("after a reboot")
		b.up(p, ask.UpOptions{Scale: map[string]int{"web": 0}})
		b.up(p, ask.UpOptions{})
		same("scaled down and up")

		b.up(p, ask.UpOptions{Ports: ask.PortsOfFile})
		if now := b.published("shop", "shop-web-1"); now[80] != 8080 {
			b.Errorf("with the ports of the file it publishes %v", now)
		}
		b.host.Taken["8080/tcp"] = "nginx (pid 42)"
		b.down(ask.DownOptions{})
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "nginx (pid 42)") {
			b.Errorf("what down forgot is published: %v", err)
		}
		b.up(p, auto)
		same("after a down, by the same hash,")
		b.down(ask.DownOptions{})
	})
}

// What was chosen is taken by somebody else while the project is stopped: an up says so, one that chooses chooses again.
func TestAutoPortThatIsTaken(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx (pid 42)"
		p := project(publishing("web"))
		b.up(p, auto)
		first := b.published("shop", "shop-web-1")[80]
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		b.host.Taken[fmt.Sprintf("%d/tcp", first)] = "squid (pid 7)"
		b.up(p, auto)
		second := b.published("shop", "shop-web-1")[80]
		if second == first || !chosenFrom(second) {
			b.Errorf("it publishes %d, taken is %d", second, first)
		}
		// An asked port that the project has itself is nobody else's.
		delete(b.host.Taken, "8080/tcp")
		b.up(p, ask.UpOptions{Ports: ask.PortsOfFile})
		if ops := b.changes(func() { b.up(p, auto) }); len(ops) > 0 {
			b.Errorf("its own port is taken from it: %v", ops)
		}
		b.down(ask.DownOptions{})
	})
}

// A range is a choice of the file's own: it is not replaced, and who has the last of it is named.
func TestAutoPortsLeaveRangesAlone(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx"
		ranged := service("web", func(s *spec.Service) {
			s.Ports = []spec.Port{{Published: 8080, PublishedEnd: 8081, Target: 80, Protocol: "tcp"}}
		})
		b.up(project(ranged), auto)
		if got := b.published("shop", "shop-web-1")[80]; got != 8081 {
			b.Errorf("of the range it publishes %d", got)
		}
		if asked := b.rows("shop")["shop-web-1"].Ports[0].Asked; asked != "8080-8081" {
			b.Errorf("it says that %q was asked for", asked)
		}
		b.down(ask.DownOptions{})
		b.host.Taken["8081/tcp"] = "squid"
		if err := b.engine.Up(b.Context(), project(ranged), auto, b.sink); err == nil || !strings.Contains(err.Error(), "taken by squid") || strings.Contains(err.Error(), "--auto-ports") {
			b.Errorf("got %v", err)
		}
	})
}

func TestSavedPlanKeepsItsPorts(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx"
		p := project(publishing("web"))
		file := b.save(p, auto)
		planned := b.plan(p, auto).Warnings[0].Detail
		delete(b.host.Taken, "8080/tcp")
		if err := b.engine.Apply(b.Context(), file, ask.ApplyOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		got := b.published("shop", "shop-web-1")[80]
		if !strings.Contains(planned, fmt.Sprintf("publishes %d in place", got)) {
			b.Errorf("apply publishes %d, and the plan said %q", got, planned)
		}
		b.down(ask.DownOptions{})

		// One that had nothing to choose chooses nothing: exactly that or nothing.
		file = b.save(p, auto)
		b.host.Taken["8080/tcp"] = "nginx"
		if err := b.engine.Apply(b.Context(), file, ask.ApplyOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "8080/tcp is taken by nginx") || !errors.Is(err, errdefs.ErrConflict) {
			b.Errorf("got %v", err)
		}
	})
}

// The choice is in the store before anything of the host is changed, and a daemon that dies then is followed by one that keeps it.
func TestAutoPortsAreOnRecordFirst(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx"
		p := project(publishing("web"))
		var recorded string
		b.host.Fault = func(op string, _ bool) error {
			if recorded == "" {
				raw, _ := b.store.Get("projects", "shop")
				recorded = string(raw)
			}
			if op == "Containers.Start" {
				return errors.New("no")
			}
			return nil
		}
		if err := b.engine.Up(b.Context(), p, auto, b.sink); err == nil {
			b.Fatal("it started")
		}
		b.host.Fault = nil
		if !strings.Contains(recorded, `"asked":8080`) {
			b.Errorf("before the first change the record is %s", recorded)
		}
		b.up(p, auto)
		if got := b.published("shop", "shop-web-1")[80]; !strings.Contains(recorded, fmt.Sprintf(`"published":%d`, got)) {
			b.Errorf("it publishes %d and the record was %s", got, recorded)
		}
		b.down(ask.DownOptions{})
	})
}

// Projects that start at once, and some that do not run, never have one port.
func TestAutoPortsOfManyAtOnce(t *testing.T) {
	run(t, func(b *bench) {
		var all []*spec.Project
		for i := range 40 {
			p := project(publishing("web"))
			p.Name, p.Networks = fmt.Sprintf("shop%d", i), map[string]*spec.Network{"default": {Key: "default", Name: fmt.Sprintf("shop%d_default", i)}}
			all = append(all, p)
		}
		var work sync.WaitGroup
		for i, p := range all {
			work.Go(func() {
				o := auto
				o.NoStart = i%4 == 0
				if err := b.engine.Up(b.Context(), p, o, nil); err != nil {
					b.Errorf("%s: %v", p.Name, err)
				}
			})
		}
		work.Wait()
		seen := map[int]string{}
		for _, p := range all {
			b.up(p, auto)
			for _, port := range b.published(p.Name, p.Name+"-web-1") {
				if other := seen[port]; other != "" {
					b.Errorf("%s and %s have %d", other, p.Name, port)
				}
				seen[port] = p.Name
			}
		}
		if len(seen) != len(all) || seen[8080] == "" {
			b.Errorf("%d projects have %d ports: %v", len(all), len(seen), seen)
		}
		for _, p := range all {
			if err := b.engine.Down(b.Context(), p.Name, ask.DownOptions{}, nil); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestDownOfAServiceForgetsItsPorts(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"], b.host.Taken["9090/tcp"] = "nginx", "nginx"
		db := service("db", func(s *spec.Service) { s.Ports = []spec.Port{{Published: 9090, Target: 90, Protocol: "tcp"}} })
		p := project(publishing("web"), db)
		b.up(p, auto)
		was := b.published("shop", "shop-db-1")[90]
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{Services: []string{"web"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		delete(b.host.Taken, "8080/tcp")
		b.up(p, ask.UpOptions{})
		if web, db := b.published("shop", "shop-web-1")[80], b.published("shop", "shop-db-1")[90]; web != 8080 || db != was {
			b.Errorf("web has %d, want 8080; db has %d, want %d", web, db, was)
		}
		b.down(ask.DownOptions{})
	})
}

func TestCandidatesAreEachOnce(t *testing.T) {
	p := project(publishing("web"))
	want, _ := desire.Of(p)
	port := want.Services["web"].Spec.Ports[0]
	all := slices.Collect(autoport.Candidates("shop", "web", port))
	if first := slices.Collect(autoport.Candidates("other", "web", port))[0]; first == all[0] {
		t.Errorf("two projects begin with %d", first)
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != autoport.Last-autoport.First+1 || all[0] != autoport.First || all[n-1] != autoport.Last {
		t.Errorf("%d candidates from %d to %d", n, all[0], all[len(all)-1])
	}
}
