package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// heal gives the loop its time.
func (b *bench) heal() {
	b.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
}

// listen collects what is said to everybody from now on.
func (b *bench) listen() {
	events := b.engine.Events(b.Context(), "shop", event.Window{})
	go func() {
		for ev := range events {
			b.sink(ev)
		}
	}()
	synctest.Wait()
}

// told counts the events with this text.
func (b *bench) told(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, ev := range b.events {
		if ev.Text == text {
			n++
		}
	}
	return n
}

// kill ends a container with other hands.
func (b *bench) kill(name string) {
	b.Helper()
	if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")[name].ID, unix.SIGKILL); err != nil {
		b.Fatal(err)
	}
	synctest.Wait()
}

// running are the names of the containers that run.
func (b *bench) running() string {
	b.Helper()
	var names []string
	for name, c := range b.rows("shop") {
		if c.State == "running" {
			names = append(names, strings.TrimPrefix(name, "shop-"))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// trio is db, web, which follows it, and side, which does not.
func trio() *spec.Project {
	db := service("db", func(s *spec.Service) {
		s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
	})
	return project(db, service("web", after("db", spec.ServiceStarted, true)), service("side", after("db", spec.ServiceStarted, false)))
}

// Each damage that other hands can do is undone, with the operations that it takes and no others on containers that are well.
func TestDamageIsUndone(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(b *bench, id func(string) string)
		fresh  string // services that have another container after it
		again  string // services whose container was started again
		said   string // of the one that is damaged
	}{
		"killed":  {func(b *bench, id func(string) string) { b.kill("shop-db-1") }, "", "db web", "it was killed, and not by a command"},
		"deleted": {func(b *bench, id func(string) string) { b.host.RemoveContainer(id("db")) }, "db", "db web", "it does not exist"},
		"its snapshot": {func(b *bench, id func(string) string) {
			if err := b.host.Set().Images.Remove(b.Context(), id("side")); err != nil {
				b.Fatal(err)
			}
			b.host.DamageContainer(id("side"), "its root filesystem is gone", true)
		}, "side", "side", "its root filesystem is gone"},
		"its limits": {func(b *bench, id func(string) string) {
			b.host.DamageContainer(id("db"), "memory limit is another", false)
		}, "", "", "memory limit is another"},
		"a mount":                     {func(b *bench, id func(string) string) { b.host.DamageContainer(id("db"), "a mount is gone", true) }, "", "db web", "a mount is gone"},
		"a veth":                      {func(b *bench, id func(string) string) { b.host.DamageSandbox(id("db"), "its veth is gone") }, "", "", "its veth is gone"},
		"a namespace, record and all": {func(b *bench, id func(string) string) { b.host.RemoveSandbox(id("side")) }, "", "side", "its network namespace is gone"},
		"a bridge": {func(b *bench, id func(string) string) {
			b.host.DamageNetwork("shop_default", "its bridge is gone")
			b.host.DamageSandbox(id("db"), "its veth is gone")
		}, "", "", "its bridge is gone"},
		"a network, record and all": {func(b *bench, id func(string) string) { b.host.RemoveNetwork("shop_default") }, "", "", "it does not exist"},
		"a volume's directory":      {func(b *bench, id func(string) string) { b.host.DamageVolume("shop_data", "its directory is gone") }, "", "db web", "its directory is gone"},
		"a volume":                  {func(b *bench, id func(string) string) { b.host.RemoveVolume("shop_data") }, "", "db web", "it does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.up(trio(), ask.UpOptions{})
				b.heal()
				before := b.rows("shop")
				b.listen()
				tt.damage(b, func(service string) string { return before["shop-"+service+"-1"].ID })
				b.heal()
				now := b.rows("shop")
				var fresh, again []string
				for _, s := range []string{"db", "side", "web"} {
					was, is := before["shop-"+s+"-1"], now["shop-"+s+"-1"]
					if is.State != "running" {
						b.Errorf("%s is %q", s, is.State)
					}
					if is.ID != was.ID {
						fresh = append(fresh, s)
					}
					if !is.StartedAt.Equal(was.StartedAt) {
						again = append(again, s)
					}
				}
				b.same("made anew", strings.Join(fresh, " "), tt.fresh)
				b.same("started", strings.Join(again, " "), tt.again)
				b.same("drift after it", lines(b.drift()), "")
				b.mu.Lock()
				defer b.mu.Unlock()
				has := func(text string, phase event.Phase, detail string) bool {
					return slices.ContainsFunc(b.events, func(ev event.Event) bool {
						return ev.Text == text && ev.Phase == phase && strings.Contains(ev.Detail, detail)
					})
				}
				if !has("Damaged", event.Warning, tt.said) || !has("Healed", event.Done, tt.said) {
					b.Errorf("nobody says %q: %+v", tt.said, b.events)
				}
			})
		})
	}
}

// What users have stopped, removed, scaled, paused or not brought up stays so, and what has ended by itself is its policy's.
func TestHealingDoesNoMoreThanWasAskedFor(t *testing.T) {
	verb := func(do func(b *bench) error) func(*bench) {
		return func(b *bench) {
			b.Helper()
			if err := do(b); err != nil {
				b.Fatal(err)
			}
		}
	}
	db := ask.ServiceOptions{Services: []string{"db"}}
	for name, tt := range map[string]struct {
		before func(*bench)
		want   string
	}{
		"stop": {verb(func(b *bench) error { return b.engine.Stop(b.Context(), "shop", db, nil) }), "side-1 web-1"},
		"kill": {verb(func(b *bench) error { return b.engine.Kill(b.Context(), "shop", db, nil) }), "side-1 web-1"},
		"rm": {verb(func(b *bench) error {
			return b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}, Stop: true}, nil)
		}), "side-1 web-1"},
		"down of a service": {verb(func(b *bench) error {
			return b.engine.Down(b.Context(), "shop", ask.DownOptions{Services: []string{"db"}}, nil)
		}), "side-1 web-1"},
		"stop and start": {verb(func(b *bench) error {
			return errors.Join(b.engine.Stop(b.Context(), "shop", db, nil), b.engine.Start(b.Context(), "shop", db, nil))
		}), "db-1 side-1 web-1"},
		"restart": {verb(func(b *bench) error { return b.engine.Restart(b.Context(), "shop", db, nil) }), "db-1 side-1 web-1"},
		"scaled":  {func(b *bench) { b.up(trio(), ask.UpOptions{Scale: map[string]int{"web": 3, "side": 0}}) }, "db-1 web-1 web-2 web-3"},
		"scaled back": {func(b *bench) {
			b.up(trio(), ask.UpOptions{Scale: map[string]int{"web": 3}})
			b.up(trio(), ask.UpOptions{})
		}, "db-1 side-1 web-1"},
		"down": {verb(func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) }), ""},
		"it ends by itself": {verb(func(b *bench) error {
			return b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-db-1"].ID, unix.SIGTERM)
		}), "side-1 web-1"},
		"create": {func(b *bench) {
			p := trio()
			p.Services["late"] = service("late")
			b.up(p, ask.UpOptions{NoStart: true})
		}, "db-1 side-1 web-1"},
		"an up that fails": {func(b *bench) {
			p := trio()
			p.Services["late"] = service("late", after("bad", spec.ServiceCompleted, false))
			p.Services["bad"] = service("bad", func(s *spec.Service) { s.Environment["FAIL"] = "1" })
			if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, nil); err == nil {
				b.Error("it succeeds")
			}
		}, "db-1 side-1 web-1"},
		"another file, of which nothing was brought up": {func(b *bench) {
			p := trio()
			p.Services["db"].Environment["NEW"] = "1"
			b.up(p, ask.UpOptions{Services: []string{"side"}, NoDeps: true})
		}, "db-1 side-1 web-1"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Program = func(c runtime.Config) fake.Program {
					if slices.Contains(c.Spec.Process.Env, "FAIL=1") {
						return fake.Program{For: time.Second, Code: 1}
					}
					return fake.Program{}
				}
				b.up(trio(), ask.UpOptions{})
				tt.before(b)
				ids := b.rows("shop")
				b.heal()
				b.host.DamageNetwork("shop_default", "other hands")
				b.heal()
				b.same("runs", b.running(), tt.want)
				b.reboot()
				b.heal()
				b.same("runs after another daemon", b.running(), tt.want)
				for name, c := range b.rows("shop") {
					if c.ID != ids[name].ID {
						b.Errorf("%s is another container", name)
					}
				}
				b.crash()
				b.heal()
				b.same("runs after a reboot", b.running(), tt.want)
			})
		})
	}
}

// crash is a power cut: everything that runs has ended with nobody to see it, and what was below the run root is gone.
func (b *bench) crash() {
	b.Helper()
	b.shut()
	b.host.Reboot()
	b.boot()
}

func TestUpOfOneServiceWishesForItsDependenciesOnly(t *testing.T) {
	run(t, func(b *bench) {
		b.up(trio(), ask.UpOptions{Services: []string{"web"}})
		b.same("drift", lines(b.drift()), "")
		b.crash()
		b.heal()
		b.same("after a reboot", b.running(), "db-1 web-1")
	})
}

func TestScaleIsNoDrift(t *testing.T) {
	run(t, func(b *bench) {
		b.up(trio(), ask.UpOptions{Scale: map[string]int{"web": 3}})
		b.same("drift", lines(b.drift()), "")
		b.host.RemoveContainer(b.rows("shop")["shop-web-2"].ID)
		b.heal()
		b.same("running", b.running(), "db-1 side-1 web-1 web-2 web-3")
	})
}

func TestARestartPolicyOfNoThatIsWrittenIsKept(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("db", func(s *spec.Service) { s.Restart.Name, s.RestartText = "no", "no" }), service("web", func(s *spec.Service) { s.Restart.Name = "no" })), ask.UpOptions{})
		b.kill("shop-db-1")
		b.kill("shop-web-1")
		b.heal()
		b.same("running", b.running(), "web-1")
	})
}

// After a reboot what was up comes up in its order, each after what it needs is healthy.
func TestBootKeepsTheOrder(t *testing.T) {
	run(t, func(b *bench) {
		p := everyKind("one")
		p.Services["web"].DependsOn["api"] = spec.Dependency{Condition: spec.ServiceHealthy, Required: true}
		healthy(p.Services["api"])
		b.up(p, ask.UpOptions{})
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			return 0, 100 * time.Millisecond, ""
		}
		b.crash()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		rows := b.rows("shop")
		b.same("running", b.running(), "api-1 api-2 db-1 side-1 web-1")
		at := func(s string) time.Time { return rows["shop-"+s+"-1"].StartedAt }
		if gap := 100 * time.Millisecond; at("api").Sub(at("db")) < gap || at("web").Sub(at("api")) < gap {
			b.Errorf("db %v, api %v, web %v", at("db"), at("api"), at("web"))
		}
	})
}

// What was stopped before a boot can be started after it: what it stands on is there again, also when the start comes before any healing.
func TestWhatWasStoppedBeforeABootCanBeStarted(t *testing.T) {
	for verb, do := range map[string]func(*bench, ask.ServiceOptions) error{
		"start":   func(b *bench, o ask.ServiceOptions) error { return b.engine.Start(b.Context(), "shop", o, b.sink) },
		"restart": func(b *bench, o ask.ServiceOptions) error { return b.engine.Restart(b.Context(), "shop", o, b.sink) },
	} {
		for _, healed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, healed=%v", verb, healed), func(t *testing.T) {
				run(t, func(b *bench) {
					b.up(trio(), ask.UpOptions{})
					b.must(b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink))
					b.shut()
					b.host.Reboot()
					b.host.RemoveVolume("shop_data")
					b.boot()
					if healed {
						b.heal()
						for _, c := range b.drift().Changes {
							if c.ID.Kind != plan.KindContainer {
								b.Errorf("drift tells %v %v", c.Name, c.Reasons)
							}
						}
					}
					b.must(do(b, ask.ServiceOptions{}))
					b.same("running", b.running(), "db-1 side-1 web-1")
					b.same("drift", lines(b.drift()), "")
				})
			})
		}
	}
}

// A container that is unhealthy is restarted, slower and slower, and then left; a user who brings it up gives it another chance.
func TestUnhealthyIsRestartedSomeTimes(t *testing.T) {
	run(t, func(b *bench) {
		var sick atomic.Bool
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			if sick.Load() {
				return 1, 0, "no answer"
			}
			return 0, 0, ""
		}
		var starts []time.Time
		b.host.Program = func(runtime.Config) fake.Program { starts = append(starts, time.Now()); return fake.Program{} }
		p := project(service("db", healthy))
		b.up(p, ask.UpOptions{})
		b.listen()
		sick.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(starts) != 6 {
			b.Fatalf("it was started %d times", len(starts))
		}
		if b.told("Left unhealthy") != 1 {
			b.Errorf("that it is left is told %d times", b.told("Left unhealthy"))
		}
		b.up(p, ask.UpOptions{})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(starts) != 11 {
			b.Errorf("after another up it was started %d times", len(starts)-6)
		}
		sick.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.rows("shop")["shop-db-1"].Health; got != "healthy" || len(starts) != 11 {
			b.Errorf("it is %s after %d starts", got, len(starts))
		}
	})
}

// A container that is killed again and again comes back, slower and slower.
func TestKilledAgainAndAgain(t *testing.T) {
	run(t, func(b *bench) {
		starts := 0
		b.host.Program = func(runtime.Config) fake.Program {
			starts++
			return fake.Program{For: 10 * time.Millisecond, Killed: true}
		}
		b.up(project(service("db")), ask.UpOptions{})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if starts < 8 || starts > 20 {
			b.Errorf("it was started %d times in ten minutes", starts)
		}
	})
}

// TestDamageWhileItIsMended: what others damage in the middle of a mend is mended too, and by no restart. What a mend leaves as it was needs one.
func TestDamageWhileItIsMended(t *testing.T) {
	for name, tt := range map[string]struct {
		again   string // what is wrong after the mend
		restart bool
	}{
		"something else": {"its port is not forwarded", false},
		"the same":       {"its veth is gone", true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.up(trio(), ask.UpOptions{})
				b.heal()
				before := b.rows("shop")["shop-side-1"]
				b.host.Fault = func(op string, after bool) error {
					if op == "Networks.Mend" && after {
						b.host.Fault = nil
						b.host.DamageNetwork("shop_default", "the firewall does not know it")
						b.host.DamageSandbox(before.ID, tt.again)
					}
					return nil
				}
				b.host.DamageSandbox(before.ID, "its veth is gone")
				time.Sleep(time.Minute)
				synctest.Wait()
				now := b.rows("shop")["shop-side-1"]
				if restart := !now.StartedAt.Equal(before.StartedAt); restart != tt.restart || now.ID != before.ID {
					b.Errorf("restarted: %v, want %v; container %s, then %s", restart, tt.restart, before.ID, now.ID)
				}
				b.same("drift after it", lines(b.drift()), "")
			})
		})
	}
}

// A heal that fails is tried less and less often and told once, and does not keep others from being healed.
func TestAHealThatFailsBacksOff(t *testing.T) {
	run(t, func(b *bench) {
		b.up(trio(), ask.UpOptions{})
		b.listen()
		broken := b.rows("shop")["shop-db-1"].ID
		var whole atomic.Bool
		var tries atomic.Int64
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.ID == broken && !whole.Load() {
				tries.Add(1)
				return fake.Program{StartError: errors.New("no such file")}
			}
			return fake.Program{}
		}
		b.kill("shop-db-1")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := tries.Load(); n < 8 || n > 20 {
			b.Errorf("it was tried %d times in ten minutes", n)
		}
		if n := b.told("Damaged"); n != 2 {
			b.Errorf("the damage was told %d times", n)
		}
		if n := b.told("Error"); n != 1 {
			b.Errorf("the failure was told %d times", n)
		}
		if n := b.told("Not healed"); n == 0 || n > 2 { // db once, and web, which waits for it
			b.Errorf("it was told %d times", n)
		}
		b.kill("shop-side-1")
		b.host.DamageContainer(b.rows("shop")["shop-web-1"].ID, "a mount is gone", true)
		if b.engine.Idle() {
			b.Error("idle with something to heal")
		}
		whole.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		b.same("in the end", b.running(), "db-1 side-1 web-1")
	})
}

// A command does not wait for healing, and healing goes on after it.
func TestCommandsGoFirst(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, false)))
		b.up(p, ask.UpOptions{})
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "" }
		p.Services["db"].HealthCheck.Interval = time.Hour
		b.crash()
		b.heal() // web waits for db
		b.same("on its way", b.running(), "db-1")
		began := time.Now()
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil); err != nil {
			b.Fatal(err)
		}
		if waited := time.Since(began); waited > time.Second {
			b.Errorf("stop waited for %s", waited)
		}
		b.heal()
		b.same("after it", b.running(), "web-1") // which has nobody to wait for any more
	})
}

// TestACommandThatWasCutShortIsCarriedToItsEnd: the next daemon does the rest without being asked.
func TestACommandThatWasCutShortIsCarriedToItsEnd(t *testing.T) {
	for verb, tt := range map[string]struct {
		do   func(b *bench) error
		want string
	}{
		"up": {func(b *bench) error {
			p := trio()
			for _, s := range p.Services {
				s.Environment["LEVEL"] = "2"
			}
			return b.engine.Up(b.Context(), p, ask.UpOptions{}, nil)
		}, "db-1 side-1 web-1"},
		"down": {func(b *bench) error {
			return b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: true}, nil)
		}, ""},
		"rm": {func(b *bench) error {
			return b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Stop: true}, nil)
		}, ""},
		"stop":    {func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil) }, ""},
		"start":   {func(b *bench) error { return b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil) }, "db-1 side-1 web-1"},
		"restart": {func(b *bench) error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil) }, "db-1 side-1 web-1"},
		"restart of one that others follow": {func(b *bench) error {
			return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil)
		}, "db-1 side-1 web-1"},
	} {
		t.Run(verb, func(t *testing.T) {
			for n := 1; ; n++ {
				died := false
				run(t, func(b *bench) {
					b.up(trio(), ask.UpOptions{})
					b.heal()
					if verb == "start" {
						if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
							b.Fatal(err)
						}
					}
					b.cut.At(n)
					_ = tt.do(b) // fails when it is cut
					died = b.cut.Died()
					b.shut()
					b.cut.Over()
					b.boot()
					time.Sleep(5 * time.Second)
					synctest.Wait()
					b.same(fmt.Sprintf("running after %s was cut at %d", verb, n), b.running(), tt.want)
					switch verb {
					case "up":
						b.same("drift", lines(b.drift()), "")
					case "down":
						if left := b.host.Left(); len(left) > 0 {
							b.Errorf("cut at %d: left %v", n, left)
						}
					}
				})
				if t.Failed() || !died {
					if n < 5 {
						t.Errorf("only %d operations were counted", n)
					}
					return
				}
			}
		})
	}
}

// Two orders of the same events end in one state.
func TestTwoOrdersOfEventsEndInOneState(t *testing.T) {
	ends := map[string]bool{}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		for _, gap := range []time.Duration{0, 10 * time.Millisecond, 2 * time.Second} {
			run(t, func(b *bench) {
				b.up(trio(), ask.UpOptions{})
				b.heal()
				rows := b.rows("shop")
				events := []func(){
					func() { b.kill("shop-db-1") },
					func() { b.host.RemoveContainer(rows["shop-web-1"].ID) },
					func() { b.host.DamageNetwork("shop_default", "its bridge is gone") },
					func() { b.host.DamageVolume("shop_data", "its directory is gone") },
				}
				for _, i := range order {
					events[i]()
					time.Sleep(gap)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				ends[b.running()+" "+lines(b.drift())] = true
			})
		}
	}
	if len(ends) != 1 || !ends["db-1 side-1 web-1 "] {
		t.Errorf("they end in %v", ends)
	}
}

// The loop does nothing while nothing happens, and hints without damage do not make it do anything.
func TestAnIdleLoopDoesNothing(t *testing.T) {
	run(t, func(b *bench) {
		b.up(trio(), ask.UpOptions{})
		b.heal()
		lists := b.host.Reads()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := b.host.Reads(); got != lists {
			b.Errorf("it looked %d times at a host on which nothing happens", got-lists)
		}
		if ops := b.changes(func() {
			for range 100 {
				b.host.Hint()
				time.Sleep(time.Millisecond)
			}
			b.heal()
		}); len(ops) > 0 {
			b.Errorf("false alarms lead to %v", ops)
		}
		if got := b.host.Reads() - lists; got > 10 {
			b.Errorf("100 hints within 100 ms lead to %d looks", got)
		}
	})
}

// An update stops a container to make it anew, and the daemon dies: the old one is not started once more by its policy before that. One
// that the command has nothing to do with is its policy's, afterwards.
func TestAPolicyWaitsForTheCommandThatWasCutShort(t *testing.T) {
	run(t, func(b *bench) {
		always := func(s *spec.Service) { s.Restart.Name = "always" }
		db, side := service("db", always), service("side", always)
		b.up(project(db, side), ask.UpOptions{})
		b.heal()
		dead := false
		b.host.Fault = func(op string, after bool) error {
			if after && strings.HasPrefix(op, "Containers.Stop") {
				// The other one ends by itself in the same moment.
				if !dead {
					if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-side-1"].ID, unix.SIGTERM); err != nil {
						t.Error(err)
					}
				}
				dead = true
			}
			if dead && !strings.HasPrefix(op, "Containers.Kill") {
				return errors.New("cut")
			}
			return nil
		}
		b.store.Dead = func() bool { return dead }
		newer := service("db", always, func(s *spec.Service) {
			s.Environment["LEVEL"] = "2"
			s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
		})
		_ = b.engine.Up(b.Context(), project(newer, side), ask.UpOptions{Services: []string{"db"}}, nil) // it is cut
		b.shut()
		b.store.Dead = nil
		b.host.Fault = func(op string, after bool) error {
			if !after && strings.HasPrefix(op, "Volumes.Create") {
				time.Sleep(time.Second) // longer than the policy waits
			}
			return nil
		}
		if err := b.host.Set().Volumes.Delete(b.Context(), "shop_data"); err != nil {
			t.Fatal(err)
		}
		before := len(b.host.Ops())
		b.boot()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.same("running", b.running(), "db-1 side-1")
		starts := 0
		for _, op := range b.host.Ops()[before:] {
			if strings.HasPrefix(op, "Containers.Start") {
				starts++
			}
		}
		if starts != 2 {
			t.Errorf("%d starts, expected one of each: %q", starts, b.host.Ops()[before:])
		}
	})
}

// TestPolicyStartIsNotHealed: a look at a container that its policy is starting again does not take it for one that was never started. A start by healing is
// somebody's start: the policy would begin to count anew.
func TestPolicyStartIsNotHealed(t *testing.T) {
	run(t, func(b *bench) {
		web := func(c runtime.Config) bool { return c.Facts["name"] == "shop-web-1" }
		b.host.Program = func(c runtime.Config) fake.Program {
			if web(c) {
				return fake.Program{For: time.Second, Code: 3}
			}
			return fake.Program{}
		}
		b.up(project(service("side"), service("web", func(s *spec.Service) { s.Restart = spec.RestartPolicy{Name: "on-failure", MaxAttempts: 3} })), ask.UpOptions{})
		b.listen()
		b.host.StartTakes = func(c runtime.Config) time.Duration {
			if web(c) {
				return 10 * time.Second
			}
			return 0
		}
		for range 10 { // while it is being started, most of the time
			b.kill("shop-side-1") // what has the loop look
			time.Sleep(5 * time.Second)
		}
		b.heal()
		if c := b.rows("shop")["shop-web-1"]; c.State != "exited" || c.Restarts != 3 || slices.Contains(b.said(), "container shop-web-1 Damaged") {
			t.Errorf("it is %s after %d restarts, expected exited after 3, and no damage\n%s", c.State, c.Restarts, strings.Join(b.said(), "\n"))
		}
	})
}

// TestStoppedToRunAgain: while a restart, or healing, is between the stop and the start of a container it is shown as restarting, and as what it is where nobody starts it again.
func TestStoppedToRunAgain(t *testing.T) {
	run(t, func(b *bench) {
		var mu sync.Mutex
		sick := false
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			mu.Lock()
			defer mu.Unlock()
			if sick {
				return 1, 0, "not well"
			}
			return 0, 0, ""
		}
		b.up(project(service("web", healthy)), ask.UpOptions{})
		var states []string
		look := func(at string) {
			b.host.Fault = func(op string, after bool) error {
				if op == at && !after {
					state := b.rows("shop")["shop-web-1"].State
					mu.Lock()
					defer mu.Unlock()
					states, sick = append(states, state), false
				}
				return nil
			}
		}
		look("Containers.Start")
		if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		mu.Lock()
		sick = true
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		b.host.Fault = nil
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		states = append(states, b.rows("shop")["shop-web-1"].State)
		look("Containers.Delete")
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		b.same("states", strings.Join(states, " "), "restarting restarting exited exited")
	})
}
