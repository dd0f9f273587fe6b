package reconcile_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// errands has a job, somebody who waits for its end, and a chain beside them that takes seconds: a command goes on when the job has ended.
func errands(level string, change ...func(*spec.Service)) *spec.Project {
	job := service("job", change...)
	job.Environment["LEVEL"] = level
	db := service("db", healthy, func(s *spec.Service) {
		s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
	})
	db.Environment["LEVEL"] = level
	db.HealthCheck.Interval, db.HealthCheck.Retries = time.Second, 20
	return project(db, job, service("web", after("db", spec.ServiceHealthy, true)))
}

// TestNoJobIsStartedTwice: whatever starts a job, and whichever operation the daemon dies at, a job that was started and has ended by itself when the next daemon
// comes is not started once more; one that was not started yet is.
func TestNoJobIsStartedTwice(t *testing.T) {
	forced := errands("1")
	awaited := func(level string) *spec.Project {
		p := errands(level)
		after("job", spec.ServiceCompleted, false)(p.Services["web"])
		return p
	}
	for name, tt := range map[string]struct {
		before *spec.Project // nil = nothing is up
		down   bool          // it is stopped
		do     func(b *bench) error
	}{
		"up":      {nil, false, func(b *bench) error { return b.engine.Up(b.Context(), errands("1"), ask.UpOptions{}, nil) }},
		"awaited": {nil, false, func(b *bench) error { return b.engine.Up(b.Context(), awaited("1"), ask.UpOptions{}, nil) }},
		"by name": {nil, false, func(b *bench) error {
			return b.engine.Up(b.Context(), awaited("1"), ask.UpOptions{Services: []string{"job", "web"}}, nil)
		}},
		"up of what was stopped": {errands("1"), true, func(b *bench) error { return b.engine.Up(b.Context(), errands("1"), ask.UpOptions{}, nil) }},
		"recreate":               {errands("1"), false, func(b *bench) error { return b.engine.Up(b.Context(), errands("2"), ask.UpOptions{}, nil) }},
		"forced recreate": {forced, false, func(b *bench) error {
			return b.engine.Up(b.Context(), forced, ask.UpOptions{ForceRecreate: true}, nil)
		}},
		"restart with another": {errands("1", after("db", spec.ServiceStarted, true)), false, func(b *bench) error {
			return b.engine.Up(b.Context(), errands("2", after("db", spec.ServiceStarted, true)), ask.UpOptions{}, nil)
		}},
		"start":                {errands("1"), true, func(b *bench) error { return b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil) }},
		"restart":              {errands("1"), false, func(b *bench) error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil) }},
		"restart of a stopped": {errands("1"), true, func(b *bench) error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil) }},
		"restart that follows": {errands("1", after("db", spec.ServiceStarted, true)), false, func(b *bench) error {
			return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil)
		}},
		"restart of one": {errands("1"), false, func(b *bench) error {
			return b.engine.Single().Restart(b.Context(), "shop-job-1", single.StopOptions{})
		}},
		"volumes": {errands("1", func(s *spec.Service) {
			s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
		}), false, func(b *bench) error {
			return b.engine.SnapshotVolumes(b.Context(), "shop", ask.SnapshotOptions{Name: "t", Stop: true}, nil)
		}},
		"healing": {errands("1", after("db", spec.ServiceStarted, true)), false, func(b *bench) error {
			err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-db-1"].ID, unix.SIGKILL)
			time.Sleep(time.Minute)
			synctest.Wait()
			return err
		}},
		"following": {errands("1", func(s *spec.Service) { s.IPC = "service:db" }, func(s *spec.Service) { after("db", spec.ServiceStarted, false)(s) }), false, func(b *bench) error {
			err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-db-1"].ID, unix.SIGKILL)
			time.Sleep(time.Minute)
			synctest.Wait()
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			begun := false // a daemon has lived to start the job
			for n := 1; ; n++ {
				died := false
				run(t, func(b *bench) {
					var ill atomic.Bool
					b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
						if ill.CompareAndSwap(true, false) {
							return 1, 0, "not yet"
						}
						return 0, 0, ""
					}
					lasting := true
					var starts atomic.Int32
					b.host.Program = func(c runtime.Config) fake.Program {
						switch service := c.Labels["com.docker.compose.service"]; {
						case lasting:
							return fake.Program{}
						case service == "db":
							ill.Store(true)
						case service == "job":
							starts.Add(1)
							return fake.Program{For: 100 * time.Millisecond}
						}
						return fake.Program{}
					}
					if tt.before != nil {
						b.up(tt.before, ask.UpOptions{})
						b.heal()
					}
					if tt.down {
						if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
							b.Fatal(err)
						}
					}
					lasting = false
					b.cut.At(n)
					err := tt.do(b)
					if died = b.cut.Died(); !died && err != nil {
						b.Fatal(err)
					}
					before := starts.Load()
					time.Sleep(time.Second) // what runs ends
					b.shut()
					b.cut.Over()
					b.boot()
					time.Sleep(time.Minute)
					synctest.Wait()
					all := starts.Load()
					begun = begun || before > 0
					if all > 1 {
						b.Errorf("killed at operation %d: the job was started %d times, %d of them before that", n, all, before)
					}
					if begun && all == 0 && !strings.Contains(b.running(), "job-1") {
						b.Errorf("killed at operation %d: the job was not started", n)
					}
				})
				if t.Failed() || !died {
					if n < 5 || !begun {
						t.Errorf("only %d operations were counted, or the job was not started: %v", n, begun)
					}
					return
				}
			}
		})
	}
}
