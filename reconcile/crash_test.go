package reconcile_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

var errCrash = errors.New("the daemon is killed")

// everyKind is a project with every kind of resource; level changes a field of db, which the others follow.
func everyKind(level string) *spec.Project {
	db := service("db", healthy, func(s *spec.Service) {
		s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}, {Type: "volume", Target: "/cache"}}
		s.Environment["LEVEL"] = level
		s.Restart.Name = "always"
	})
	api := service("api", after("db", spec.ServiceHealthy, true), func(s *spec.Service) { s.Replicas = 2 })
	web := service("web", after("api", spec.ServiceStarted, false), func(s *spec.Service) { s.Ports = []spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}} })
	side := service("side", func(s *spec.Service) { s.Networks, s.NetworkMode = nil, "service:web" })
	return project(db, api, web, side)
}

// withBuild is everyKind with a service whose image is built, another one for each level.
func withBuild(level string) *spec.Project {
	p := everyKind(level)
	p.Services["made"] = builds("made", os.TempDir(), func(s *spec.Service) {
		s.Build.Dockerfile, s.Build.DockerfileInline = "", "FROM scratch"
		s.Image, s.PullPolicy = "made:"+level, "never"
	})
	return p
}

// TestKilledBeforeAndAfterEveryOperation stops the daemon at each operation of up, of an update and of down; the next
// daemon gets to the same state, and nothing is left over.
func TestKilledBeforeAndAfterEveryOperation(t *testing.T) {
	killEverywhere(t, withBuild, nil, "shop-db-1", "shop-api-1", "shop-api-2", "shop-web-1", "shop-side-1", "shop-made-1")
}

// killEverywhere kills the daemon at each operation of up with level 1, up with level 2 and down, one per round; each time the next
// one gets to the containers names. always is asked before every operation of the update, for what must never be otherwise.
func killEverywhere(t *testing.T, made func(level string) *spec.Project, always func(b *bench) error, names ...string) {
	t.Helper()
	for n := 1; ; n++ {
		died := false
		run(t, func(b *bench) {
			// The host calls Fault from whichever goroutine works.
			var mu sync.Mutex
			count, down, armed, updating := 0, false, true, false
			b.host.Fault = func(op string, after bool) error {
				mu.Lock()
				defer mu.Unlock()
				if always != nil && updating {
					if err := always(b); err != nil {
						b.Errorf("operation %d, at %s: %v", n, op, err)
					}
				}
				if !armed {
					return nil
				}
				if count++; down || count == n {
					died, down = true, true // after its death it does nothing any more
					return errCrash
				}
				return nil
			}
			isDown := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return down
			}
			arm := func(on bool) {
				mu.Lock()
				defer mu.Unlock()
				armed = on
			}
			again := func() {
				if isDown() {
					b.shut()
					mu.Lock()
					armed, down = false, false
					mu.Unlock()
					b.boot()
				}
			}
			step := func(do func() error) {
				b.Helper()
				if err := do(); err != nil {
					if !isDown() {
						b.Fatalf("operation %d: %v", n, err)
					}
					again()
					if err := do(); err != nil {
						b.Fatalf("operation %d, the next daemon: %v", n, err)
					}
				}
				again()
			}
			var volume []string
			for _, level := range []string{"1", "2"} {
				step(func() error { return b.engine.Up(b.Context(), made(level), ask.UpOptions{}, nil) })
				synctest.Wait()
				rows := b.rows("shop")
				for _, name := range names {
					if rows[name].State != "running" {
						b.Errorf("operation %d, level %s: %s is %q", n, level, name, rows[name].State)
					}
				}
				if len(rows) != len(names) {
					b.Errorf("operation %d: %d containers", n, len(rows))
				}
				if volume != nil && !slices.Equal(volume, rows[names[0]].Mounts) {
					b.Errorf("operation %d: the anonymous volume was lost in the update: %v, then %v", n, volume, rows[names[0]].Mounts)
				}
				volume = rows[names[0]].Mounts
				mu.Lock()
				before := armed
				armed = false
				mu.Unlock()
				if ops := b.changes(func() { b.up(made(level), ask.UpOptions{}) }); len(ops) > 0 {
					b.Errorf("operation %d: another up does %v", n, ops)
				}
				arm(before)
				mu.Lock()
				updating = level == "1"
				mu.Unlock()
			}
			step(func() error {
				return b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: true}, nil)
			})
			if left := b.host.Left(); len(left) > 0 {
				b.Errorf("operation %d: left %v", n, left)
			}
		})
		if t.Failed() {
			return
		}
		if !died {
			if n < 50 {
				t.Errorf("only %d operations were counted", n)
			}
			return
		}
	}
}

// TestRandomProjectsConverge: whatever project follows whatever other, a second up does nothing.
func TestRandomProjectsConverge(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, func(b *bench) {
				r := rand.New(rand.NewPCG(seed, 1))
				for range 4 {
					p := randomProject(r)
					b.up(p, ask.UpOptions{RemoveOrphans: true, ForceRecreate: r.IntN(5) == 0})
					if ops := b.changes(func() { b.up(p, ask.UpOptions{RemoveOrphans: true}) }); len(ops) > 0 {
						b.Errorf("a second up did %v", ops)
					}
				}
				b.down(ask.DownOptions{Volumes: true})
			})
		})
	}
}

func randomProject(r *rand.Rand) *spec.Project {
	var services []*spec.Service
	for i := range 1 + r.IntN(6) {
		s := service(fmt.Sprintf("s%d", i), func(s *spec.Service) {
			s.Image = []string{"app:1", "app:2"}[r.IntN(2)]
			s.Replicas = r.IntN(4)
			s.Environment["E"] = fmt.Sprint(r.IntN(2))
			if r.IntN(2) == 0 {
				healthy(s)
			}
			if r.IntN(3) == 0 {
				s.Mounts = []spec.Mount{{Type: "volume", Source: []string{"data", ""}[r.IntN(2)], Target: "/d"}}
			}
		})
		for j := range i {
			if r.IntN(3) == 0 {
				c := spec.ServiceStarted
				if services[j].HealthCheck != nil && r.IntN(2) == 0 {
					c = spec.ServiceHealthy
				}
				s.DependsOn[services[j].Name] = spec.Dependency{Condition: c, Restart: r.IntN(2) == 0, Required: r.IntN(4) > 0}
			}
		}
		services = append(services, s)
	}
	p := project(services...)
	if r.IntN(3) == 0 {
		p.Networks["default"].Internal = true // another network: made anew
	}
	return p
}

// run --rm, whose caller and daemon died between the making of the container and its start.
func TestAOneOffThatWasNotStartedGoesWithItsCaller(t *testing.T) {
	run(t, func(b *bench) {
		var dead atomic.Bool // after its death it does nothing any more
		b.host.Fault = func(op string, after bool) error {
			if strings.HasPrefix(op, "Containers.Start") {
				dead.Store(true)
			}
			if dead.Load() {
				return errCrash
			}
			return nil
		}
		p := project(service("web"))
		if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Remove: true, NoDeps: true}, process.IO{}, b.sink); err == nil {
			b.Fatal("it was started")
		}
		if !dead.Load() {
			b.Fatal("it was not tried")
		}
		b.shut()
		b.host.Fault = nil
		b.boot()
		if rows := b.rows("shop"); len(rows) > 0 {
			b.Errorf("got %v", rows)
		}
	})
}

// A container that a plan saw ended, and takes away, is started meanwhile: by its policy, when a daemon has just taken over.
func TestARecreateOfWhatHasStartedMeanwhile(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("web")), ask.UpOptions{})
		id := b.rows("shop")["shop-web-1"].ID
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			t.Fatal(err)
		}
		started := false
		err := b.engine.Up(b.Context(), project(service("web", func(s *spec.Service) { s.Environment["LEVEL"] = "2" })), ask.UpOptions{}, func(e event.Event) {
			if e.Text == "Recreate" && !started { // the plan is made, and no step of it is begun
				started = true
				if _, err := b.host.Set().Containers.Start(b.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil || !started {
			t.Fatalf("%v; it was started meanwhile: %v", err, started)
		}
		if c := b.rows("shop")["shop-web-1"]; c.State != "running" || c.ID == id || len(b.rows("shop")) != 1 {
			t.Errorf("got %v", b.rows("shop"))
		}
	})
}

// TestRandomDamageConverges: whatever happened to a random project while no daemon was there, and in which order, the next daemon and an up
// of the same file make it what it was; then nothing is left to do, and down leaves nothing.
func TestRandomDamageConverges(t *testing.T) {
	seeds := uint64(25)
	if os.Getenv("STACK_TEST_LONG") != "" {
		seeds = 1000
	}
	for seed := range seeds {
		var ends []string
		for order := range 2 {
			run(t, func(b *bench) {
				r := rand.New(rand.NewPCG(seed, 2))
				p := randomProject(r)
				b.up(p, ask.UpOptions{})
				rows := b.rows("shop")
				b.shut()
				damage := randomDamage(b, r, rows)
				if order == 1 {
					slices.Reverse(damage)
				}
				for _, do := range damage {
					do()
				}
				b.boot()
				b.up(p, ask.UpOptions{})
				b.heal()
				if ops := b.changes(func() { b.up(p, ask.UpOptions{}) }); len(ops) > 0 {
					b.Errorf("seed %d: another up does %v", seed, ops)
				}
				ends = append(ends, b.running())
				if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: true}, nil); err != nil {
					b.Fatal(err)
				}
				if left := b.host.Left(); len(left) > 0 {
					b.Errorf("seed %d: left %v", seed, left)
				}
			})
			if t.Failed() {
				return
			}
		}
		if ends[0] != ends[1] {
			t.Fatalf("seed %d: in one order %q runs, in the other %q", seed, ends[0], ends[1])
		}
	}
}

// randomDamage is what other hands, and containers themselves, do to a project.
func randomDamage(b *bench, r *rand.Rand, rows map[string]ask.Container) (damage []func()) {
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		id := rows[name].ID
		kill := func(sig unix.Signal) func() {
			return func() { _ = b.host.Set().Containers.Kill(b.Context(), id, sig) } // it may be gone, by the other damage
		}
		lasting := r.IntN(2) == 0
		switch r.IntN(8) {
		case 0:
			damage = append(damage, kill(unix.SIGKILL))
		case 1:
			damage = append(damage, kill(unix.SIGTERM))
		case 2:
			damage = append(damage, func() { b.host.RemoveContainer(id) })
		case 3:
			damage = append(damage, func() { b.host.RemoveSandbox(id) })
		case 4:
			damage = append(damage, func() { b.host.DamageContainer(id, "its cgroup is gone", lasting) })
		}
	}
	for _, do := range []func(){
		func() { b.host.DamageNetwork("shop_default", "its bridge is gone") },
		func() { b.host.RemoveNetwork("shop_default") },
		func() { b.host.DamageVolume("shop_data", "its directory is gone") },
		func() { b.host.RemoveVolume("shop_data") },
	} {
		if r.IntN(4) == 0 {
			damage = append(damage, do)
		}
	}
	return damage
}
