package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// TestWhatAnUpHasStoppedComesBack: it fails, or its caller goes away, before it has started again what it stopped to make it anew. What was new and did not come up
// stays down: whoever asked for it has seen that.
func TestWhatAnUpHasStoppedComesBack(t *testing.T) {
	const wait = 5 * time.Minute
	for _, tt := range []struct {
		name   string
		in     time.Duration       // the caller goes; 0 = stays
		change func(*spec.Service) // of web, before the first up
		slow   bool                // web ends of itself 7 s after its first start, and not for a signal
		broken bool                // what is new cannot be started; else db does not become healthy
		want   string              // version of web that runs at last
	}{
		{name: "cancelled while the new one waits", in: 15 * time.Second, want: "2"},
		{name: "cancelled while the old one stops", in: 2 * time.Second, slow: true, want: "1"},
		{name: "failed for what it depends on", want: "2"},
		{name: "failed at its start", broken: true, want: "2"},
		{name: "cancelled in a rolling update", in: 2 * time.Second, slow: true, change: func(s *spec.Service) { s.Deploy = rolling(1, "1").Deploy }, want: "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(b *bench) {
				version := func(c runtime.Config) string {
					for _, v := range c.Spec.Process.Env {
						if v, ok := strings.CutPrefix(v, "VERSION="); ok {
							return v
						}
					}
					return ""
				}
				var ill atomic.Bool
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
					if ill.Load() {
						return 1, 0, "not yet"
					}
					return 0, 0, ""
				}
				runs := 0 // of web
				b.host.Program = func(c runtime.Config) fake.Program {
					var p fake.Program
					if c.Labels["com.docker.compose.service"] == "web" {
						if runs++; runs == 1 && tt.slow {
							p.IgnoreTerm, p.For = true, 7*time.Second
						}
					}
					if ill.Load() && tt.broken && version(c) == "2" {
						p.StartError = errors.New("no room")
					}
					return p
				}
				db := service("db", healthy)
				db.HealthCheck.Interval, db.HealthCheck.Retries = time.Second, 2
				web := service("web", after("db", spec.ServiceHealthy, true))
				if tt.change != nil {
					tt.change(web)
				}
				db.Environment["VERSION"], web.Environment["VERSION"] = "1", "1"
				p := project(db, web)
				b.up(p, ask.UpOptions{})
				web.Environment["VERSION"] = "2"
				if !tt.slow {
					db.Environment["VERSION"] = "2"
				}
				p.Services["new"] = service("new", after("web", spec.ServiceStarted, false))
				ill.Store(!tt.slow) // else healing has a reason of its own to start web again
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				if tt.in > 0 {
					time.AfterFunc(tt.in, cancel)
				}
				if err := b.engine.Up(ctx, p, ask.UpOptions{}, nil); err == nil {
					b.Error("it succeeds")
				}
				time.Sleep(wait)
				ill.Store(false)
				time.Sleep(wait)
				up := strings.Fields(b.running())
				slices.Sort(up)
				if got := strings.Join(up, " "); got != "db-1 web-1" {
					b.Errorf("runs: %v", got)
				}
				if got := b.serving()["shop-web-1"]; !strings.HasPrefix(got, tt.want) {
					b.Errorf("web is of version %q, expected %s", got, tt.want)
				}
			})
		})
	}
}

// TestWhatEndsWhileItIsLookedAtComesBack: the old one, which a cancelled up has told to stop, ends at any moment of a look at the host, as after the loop has seen it run and
// before it has decided what that says.
func TestWhatEndsWhileItIsLookedAtComesBack(t *testing.T) {
	for life := 3 * time.Second; life < 20*time.Second; life += time.Second {
		t.Run(life.String(), func(t *testing.T) {
			run(t, func(b *bench) {
				var runs atomic.Int32
				b.host.Program = func(runtime.Config) fake.Program {
					if runs.Add(1) == 1 {
						return fake.Program{IgnoreTerm: true, For: life}
					}
					return fake.Program{}
				}
				synctest.Wait() // for the first look
				var slow atomic.Bool
				b.host.Listed = func() error {
					if slow.Load() {
						time.Sleep(2500 * time.Millisecond)
					}
					return nil
				}
				web := service("web")
				p := project(web)
				b.up(p, ask.UpOptions{})
				web.Environment["VERSION"] = "2"
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				time.AfterFunc(2*time.Second, func() {
					slow.Store(true)
					cancel()
				})
				if err := b.engine.Up(ctx, p, ask.UpOptions{}, nil); err == nil {
					b.Error("it succeeds")
				}
				time.Sleep(5 * time.Minute)
				if got := b.running(); got != "web-1" {
					b.Errorf("runs: %q", got)
				}
			})
		})
	}
}

// TestWhatAnUpHasStartedIsNotStartedAgain: of a failed or cancelled up, a job that was made anew and has come to its end is done.
func TestWhatAnUpHasStartedIsNotStartedAgain(t *testing.T) {
	for name, cancelled := range map[string]bool{"failed": false, "cancelled": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				var ill atomic.Bool
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
					if ill.Load() {
						return 1, 0, "not yet"
					}
					return 0, 0, ""
				}
				var jobs atomic.Int32
				b.host.Program = func(c runtime.Config) fake.Program {
					if c.Labels["com.docker.compose.service"] != "job" {
						return fake.Program{}
					}
					if jobs.Add(1) == 1 {
						return fake.Program{} // runs when it is made anew
					}
					return fake.Program{For: time.Second}
				}
				db, job := service("db", healthy), service("job")
				db.HealthCheck.Interval, db.HealthCheck.Retries = time.Second, 20
				db.Environment["VERSION"], job.Environment["VERSION"] = "1", "1"
				p := project(db, job, service("web", after("db", spec.ServiceHealthy, true)))
				b.up(p, ask.UpOptions{})
				b.listen()
				db.Environment["VERSION"], job.Environment["VERSION"] = "2", "2"
				ill.Store(true)
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				if cancelled {
					time.AfterFunc(10*time.Second, cancel)
				}
				if err := b.engine.Up(ctx, p, ask.UpOptions{}, nil); err == nil {
					b.Error("it succeeds")
				}
				ill.Store(false)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if n := jobs.Load(); n != 2 {
					b.Errorf("job was started %d times, expected 2", n)
				}
			})
		})
	}
}

// TestWhatAnUpHasStoppedComesBackThoughItIsCarriedOn: the daemon dies at any operation of an up that makes db and web anew, and the next one, which carries it on, comes to no success either.
// What ran before runs at last, whichever of the two has stopped it; what was new does not.
func TestWhatAnUpHasStoppedComesBackThoughItIsCarriedOn(t *testing.T) {
	for name, tt := range map[string]struct {
		broken bool // what is new cannot be started; else db does not become healthy
		again  bool // the one daemon fails at two of them
	}{
		"failed for what it depends on": {},
		"failed at its start":           {broken: true},
		"typed again":                   {again: true},
		"typed again, broken":           {again: true, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			begun := 0
			for n := 1; ; n++ {
				died := false
				run(t, func(b *bench) {
					var ill atomic.Bool
					b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
						if ill.Load() {
							return 1, 0, "not yet"
						}
						return 0, 0, ""
					}
					b.host.Program = func(c runtime.Config) fake.Program {
						if ill.Load() && tt.broken && slices.Contains(c.Spec.Process.Env, "VERSION=2") {
							return fake.Program{StartError: errors.New("no room")}
						}
						return fake.Program{}
					}
					db, web := service("db", healthy), service("web", after("db", spec.ServiceHealthy, true))
					db.HealthCheck.Interval, db.HealthCheck.Retries = time.Second, 2
					db.Environment["VERSION"], web.Environment["VERSION"] = "1", "1"
					p := project(db, web)
					b.up(p, ask.UpOptions{})
					b.heal()
					db.Environment["VERSION"], web.Environment["VERSION"] = "2", "2"
					p.Services["new"] = service("new", after("web", spec.ServiceStarted, false))
					ill.Store(true)
					up := func() {
						if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, nil); err == nil {
							b.Error("it succeeds")
						}
					}
					if tt.again {
						up()
					} else {
						b.cut.At(n)
					}
					up()
					if died = b.cut.Died(); died {
						if b.running() != "db-1 web-1" {
							begun++
						}
						b.shut()
					}
					b.cut.Over()
					if died {
						b.boot()
					}
					time.Sleep(5 * time.Minute)
					ill.Store(false)
					time.Sleep(5 * time.Minute)
					b.same(fmt.Sprintf("runs after an up that was cut at %d", n), b.running(), "db-1 web-1")
				})
				if t.Failed() || !died {
					break
				}
			}
			if !tt.again && begun < 5 {
				t.Errorf("it was cut only %d times between a stop and a start", begun)
			}
		})
	}
}

// TestWhatWasToldToStopComesBackUnderTheNextDaemon: whoever told it to stop, to make it anew or to start it again, has gone with the daemon, or before. Whenever it ends under the next one, it is
// started again, also if its policy would not.
func TestWhatWasToldToStopComesBackUnderTheNextDaemon(t *testing.T) {
	restart := func(b *bench, ctx context.Context, _ *spec.Project) error {
		return b.engine.Restart(ctx, "shop", ask.ServiceOptions{Timeout: new(time.Hour)}, nil)
	}
	for name, tt := range map[string]struct {
		do   func(b *bench, ctx context.Context, p *spec.Project) error
		dies bool // the daemon, in the midst of it; else the caller goes before that
	}{
		"up that makes it anew": {func(b *bench, ctx context.Context, p *spec.Project) error {
			p.Services["web"].Environment["VERSION"] = "2"
			return b.engine.Up(ctx, p, ask.UpOptions{Timeout: new(time.Hour)}, nil)
		}, false},
		"restart":                         {restart, false},
		"restart that the daemon dies in": {restart, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				var runs atomic.Int32
				b.host.Program = func(c runtime.Config) fake.Program {
					if c.Labels["com.docker.compose.service"] == "web" && runs.Add(1) == 1 {
						return fake.Program{IgnoreTerm: true, For: 10 * time.Minute}
					}
					return fake.Program{}
				}
				p := project(service("web"), service("db"))
				b.up(p, ask.UpOptions{})
				b.heal()
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- tt.do(b, ctx, p) }()
				time.Sleep(2 * time.Second)
				synctest.Wait() // it waits for web
				if tt.dies {
					b.store.Dead = func() bool { return true }
				}
				cancel()
				b.shut()
				if err := <-ended; err == nil {
					b.Error("it succeeds")
				}
				b.store.Dead = nil
				b.boot()
				b.kill("shop-db-1") // the loop looks at all of them
				time.Sleep(5 * time.Minute)
				b.same("runs before it ends", b.running(), "db-1 web-1")
				b.reboot()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				b.same("runs when it has ended", b.running(), "db-1 web-1")
			})
		})
	}
}

// TestWhatHealingHasToldToStopIsHealedUnderTheNextDaemon: it is unhealthy and does not heed its stop, and the daemon dies before it is killed.
func TestWhatHealingHasToldToStopIsHealedUnderTheNextDaemon(t *testing.T) {
	run(t, func(b *bench) {
		var runs atomic.Int32
		b.host.Program = func(runtime.Config) fake.Program {
			runs.Add(1)
			return fake.Program{IgnoreTerm: true}
		}
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			if runs.Load() == 1 {
				return 1, 0, "no answer"
			}
			return 0, 0, ""
		}
		web := service("web", healthy)
		web.HealthCheck.Interval, web.HealthCheck.Retries = time.Second, 2
		b.up(project(web), ask.UpOptions{})
		told := func() bool {
			list, err := b.host.Set().Containers.List(b.Context())
			b.must(err)
			return list[0].Stopping
		}
		for !told() {
			time.Sleep(time.Second)
		}
		synctest.Wait() // healing waits for it
		b.store.Dead = func() bool { return true }
		b.shut()
		b.store.Dead = nil
		b.same("runs that were started by the daemon that died", strconv.Itoa(int(runs.Load())), "1")
		b.boot()
		time.Sleep(time.Minute)
		synctest.Wait()
		b.same("runs that were started", strconv.Itoa(int(runs.Load())), "2")
		b.same("runs", b.running(), "web-1")
	})
}
