package reconcile_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// TestRestartIsAPlan: dependents stop first and start last, behind the gate of what they depend on; it can be asked for beforehand, and the
// history has it, but for a rollback it is no step.
func TestRestartIsAPlan(t *testing.T) {
	remembering(t, func(b *bench) {
		p := project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, true)))
		b.up(p, ask.UpOptions{Command: "up"})
		p.Services["web"].Environment["LEVEL"] = "2"
		b.up(p, ask.UpOptions{Command: "up"})
		o := ask.ServiceOptions{Services: []string{"db"}, Command: "restart db"}
		var found *ask.Preview
		if ops := b.changes(func() {
			var err error
			if found, err = b.engine.PlanRestart(b.Context(), "shop", o); err != nil {
				b.Fatal(err)
			}
		}); len(ops) > 0 {
			b.Errorf("planning does %v", ops)
		}
		b.same("plan", lines(found), `
restart container shop-db-1: `+"`stack restart`"+` asked for it
restart container shop-web-1: db, which it depends on with restart: true, is restarted`)
		b.mu.Lock()
		b.events = nil
		b.mu.Unlock()
		if err := b.engine.Restart(b.Context(), "shop", o, b.sink); err != nil {
			b.Fatal(err)
		}
		said := b.said()
		for _, pair := range [][2]string{{"web-1 Stopped", "db-1 Stopping"}, {"db-1 Started", "db-1 Waiting"}, {"db-1 Healthy", "web-1 Starting"}} {
			if first, second := index(said, "container shop-"+pair[0]), index(said, "container shop-"+pair[1]); first < 0 || second < first {
				b.Errorf("%s does not come before %s: %v", pair[0], pair[1], said)
			}
		}
		all, err := b.engine.History(b.Context(), "shop")
		if err != nil {
			b.Fatal(err)
		}
		last := all[len(all)-1]
		if last.Command != "restart db" || last.Outcome != history.Done || len(last.Changes) != 2 || last.Changes[0].Action != plan.Restart {
			b.Errorf("the history has %+v", last)
		}
		if was, err := b.engine.Revision(b.Context(), "shop", 1); err != nil || was.Number != 1 {
			b.Errorf("a rollback goes to %+v, %v", was, err)
		}
	})
}

// TestWhatARestartHasStoppedComesBack: it fails, or its caller goes away, before it has started again what it stopped.
func TestWhatARestartHasStoppedComesBack(t *testing.T) {
	for name, restart := range map[string]func(b *bench, ctx context.Context) error{
		"cancelled": func(b *bench, ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return b.engine.Restart(ctx, "shop", ask.ServiceOptions{}, nil)
		},
		"failed": func(b *bench, ctx context.Context) error {
			ill := time.Now().Add(time.Minute)
			b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
				if time.Now().Before(ill) {
					return 1, 0, "not yet"
				}
				return 0, 0, ""
			}
			return b.engine.Restart(ctx, "shop", ask.ServiceOptions{}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Program = func(c runtime.Config) fake.Program {
					return fake.Program{IgnoreTerm: c.Labels["com.docker.compose.service"] == "db"}
				}
				db := service("db", healthy)
				db.HealthCheck.Interval, db.HealthCheck.Retries = time.Second, 2
				b.up(project(db, service("web", after("db", spec.ServiceHealthy, false)), service("off")), ask.UpOptions{})
				if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"off"}}, nil); err != nil {
					b.Fatal(err)
				}
				if err := restart(b, b.Context()); err == nil {
					b.Error("it succeeds")
				}
				time.Sleep(5 * time.Minute)
				if up := strings.Fields(b.running()); !slices.Contains(up, "db-1") || !slices.Contains(up, "web-1") {
					b.Errorf("runs: %v", up)
				}
			})
		})
	}
}

// TestWhatEndsAfterACancelledRestartComesBack: it was told to stop, took its time, and the one who had asked for a restart waited no longer.
func TestWhatEndsAfterACancelledRestartComesBack(t *testing.T) {
	run(t, func(b *bench) {
		runs := 0
		b.host.Program = func(runtime.Config) fake.Program {
			if runs++; runs == 1 {
				return fake.Program{IgnoreTerm: true, For: 7 * time.Second}
			}
			return fake.Program{}
		}
		b.up(project(service("db")), ask.UpOptions{})
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		defer cancel()
		if err := b.engine.Restart(ctx, "shop", ask.ServiceOptions{}, nil); err == nil {
			b.Error("it succeeds")
		}
		time.Sleep(time.Minute)
		if up := b.running(); up != "db-1" {
			b.Errorf("runs: %q", up)
		}
	})
}

// TestRestartWaitsForWhatItRestartsOnly: a dependency that is down, or optional and ill, keeps nobody from being restarted.
func TestRestartWaitsForWhatItRestartsOnly(t *testing.T) {
	run(t, func(b *bench) {
		cache := service("cache", healthy)
		cache.HealthCheck.Interval, cache.HealthCheck.Retries = time.Second, 2
		web := service("web", after("db", spec.ServiceHealthy, false), after("cache", spec.ServiceHealthy, false))
		web.DependsOn["cache"] = spec.Dependency{Condition: spec.ServiceHealthy}
		b.up(project(cache, service("db", healthy), web), ask.UpOptions{})
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil); err != nil {
			b.Fatal(err)
		}
		if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}}, nil); err != nil {
			b.Error(err)
		}
		b.host.ExecResult = func(c runtime.Config, _ runtime.Process) (int, time.Duration, string) {
			if strings.Contains(c.Labels["com.docker.compose.service"], "cache") {
				return 1, 0, "ill"
			}
			return 0, 0, ""
		}
		if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Error(err)
		}
		b.same("runs", b.running(), "cache-1 db-1 web-1")
	})
}

// TestWhatWasNotStoppedIsNotOwed: a daemon dies before it stops what it was to restart. When that ends by itself one day, it stays down.
func TestWhatWasNotStoppedIsNotOwed(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("web")), ask.UpOptions{})
		b.heal()
		b.cut.At(1)
		if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil); err == nil {
			b.Fatal("it succeeds")
		}
		b.shut()
		b.cut.Over()
		b.boot()
		b.heal()
		if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-web-1"].ID, unix.SIGTERM); err != nil {
			b.Fatal(err)
		}
		b.heal()
		b.same("runs", b.running(), "")
	})
}
