package reconcile_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// patient are the commands that end all of the project, with as much patience as it takes.
var patient = map[string]func(b *bench, ctx context.Context) error{
	"stop": func(b *bench, ctx context.Context) error {
		return b.engine.Stop(ctx, "shop", ask.ServiceOptions{Timeout: new(time.Hour)}, nil)
	},
	"down": func(b *bench, ctx context.Context) error {
		return b.engine.Down(ctx, "shop", ask.DownOptions{Timeout: new(time.Hour)}, nil)
	},
	"rm": func(b *bench, ctx context.Context) error {
		return b.engine.Remove(ctx, "shop", ask.ServiceOptions{Stop: true, Timeout: new(time.Hour)}, nil)
	},
}

// deaf has web, which takes no signal, ends by itself half a minute after its start, and is started again then by its policy, and db, which it needs.
func deaf(b *bench) *spec.Project {
	b.host.Program = func(c runtime.Config) fake.Program {
		if c.Labels["com.docker.compose.service"] == "web" {
			return fake.Program{IgnoreTerm: true, For: 30 * time.Second}
		}
		return fake.Program{}
	}
	always := func(s *spec.Service) { s.Restart.Name = "always" }
	return project(service("web", always, after("db", spec.ServiceStarted, false)), service("db", always))
}

// TestWhatWasToldToStopStaysStopped: a container that a command has told to stop, and whose caller has gone before it did, ends under the next daemon. Its policy does not start it again.
func TestWhatWasToldToStopStaysStopped(t *testing.T) {
	for verb, do := range patient {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				p := deaf(b)
				b.up(p, ask.UpOptions{})
				b.heal()
				ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
				defer cancel()
				if err := do(b, ctx); err == nil {
					b.Error("it succeeds")
				}
				b.reboot()
				b.same("runs under the next daemon", b.running(), "db-1 web-1")
				b.same("is wished for", b.lasting(), "db-1")
				b.reboot()
				b.same("is wished for, says the one after", b.lasting(), "db-1")
				b.up(p, ask.UpOptions{})
				b.same("is wished for after an up", b.lasting(), "db-1 web-1")
			})
		})
	}
}

// TestAStopByASignalIsOnRecord: the next daemon knows of a container that it was told to stop by whichever signal.
func TestAStopByASignalIsOnRecord(t *testing.T) {
	for name, signal := range map[string]string{"its own": "", "another": "HUP"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} }
				b.up(project(service("web")), ask.UpOptions{})
				ended := make(chan error, 1)
				go func() {
					_, err := b.engine.Single().Stop(b.Context(), "shop-web-1", single.StopOptions{Signal: signal, Timeout: new(time.Hour)})
					ended <- err
				}()
				synctest.Wait() // it waits for web
				s, err := b.host.Set().Containers.State(b.Context(), b.rows("shop")["shop-web-1"].ID)
				if err != nil || s.Status != runtime.Running || !s.Stopping {
					b.Errorf("it is %+v, %v", s, err)
				}
				b.must(b.engine.Single().Kill(b.Context(), "shop-web-1", ""))
				b.must(<-ended)
			})
		})
	}
}

// bringUp are the commands after which what is there of a project is wished for.
var bringUp = map[string]func(b *bench, p *spec.Project) error{
	"up": func(b *bench, p *spec.Project) error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, nil) },
	"start": func(b *bench, _ *spec.Project) error {
		return b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil)
	},
}

// TestWhatWasToldToStopAndIsWishedForAgain: whoever wants it up after that finds it running, and it ends all the same. It is started again then.
func TestWhatWasToldToStopAndIsWishedForAgain(t *testing.T) {
	for verb, again := range bringUp {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				p := deaf(b)
				p.Services["web"].Restart.Name = "no"
				b.up(p, ask.UpOptions{})
				b.heal()
				before := b.rows("shop")["shop-web-1"].StartedAt
				ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
				defer cancel()
				if err := patient["stop"](b, ctx); err == nil {
					b.Error("it succeeds")
				}
				if err := again(b, p); err != nil {
					b.Error(err)
				}
				b.same("runs", b.running(), "db-1 web-1")
				time.Sleep(35 * time.Second) // the run that was told to stop ends
				synctest.Wait()
				b.same("runs then", b.running(), "db-1 web-1")
				if b.rows("shop")["shop-web-1"].StartedAt == before {
					b.Error("it is the run that was told to stop")
				}
				time.Sleep(time.Minute) // this one is its own matter
				synctest.Wait()
				b.same("runs in the end", b.running(), "db-1")
			})
		})
	}
}

// TestWhatIsKilledWhileACommandWaitsStaysDown: whoever kills a container that a command had no need to touch says so later than who gave the command.
func TestWhatIsKilledWhileACommandWaitsStaysDown(t *testing.T) {
	for verb, again := range bringUp {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("web"), service("db"))
				b.up(p, ask.UpOptions{})
				b.heal()
				if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil); err != nil {
					b.Fatal(err)
				}
				b.host.StartTakes = func(runtime.Config) time.Duration { return 10 * time.Second } // of db
				ended := make(chan error, 1)
				go func() { ended <- again(b, p) }()
				time.Sleep(5 * time.Second)
				if err := b.engine.Single().Kill(b.Context(), "shop-web-1", ""); err != nil {
					b.Error(err)
				}
				if err := <-ended; err != nil {
					b.Error(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				b.same("runs", b.running(), "db-1")
			})
		})
	}
}

// TestWhatIsKilledByTheTimeItsCommandEndsStaysDown: the command has started it, and still has others to start.
func TestWhatIsKilledByTheTimeItsCommandEndsStaysDown(t *testing.T) {
	restart := func(b *bench, _ *spec.Project) error {
		return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil)
	}
	stop := func(b *bench, _ *spec.Project) { b.must(b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil)) }
	for name, tt := range map[string]struct {
		before func(b *bench, p *spec.Project) // between the first up and the command
		do     func(b *bench, p *spec.Project) error
	}{
		"up that makes it anew": {func(_ *bench, p *spec.Project) {
			for _, s := range p.Services {
				s.Environment["VERSION"] = "2"
			}
		}, bringUp["up"]},
		"up that starts it":           {stop, bringUp["up"]},
		"up of all that is not there": {func(b *bench, _ *spec.Project) { b.down(ask.DownOptions{}) }, bringUp["up"]},
		"start":                       {stop, bringUp["start"]},
		"restart":                     {func(*bench, *spec.Project) {}, restart},
	} {
		outlived := func(t *testing.T, dies bool) {
			run(t, func(b *bench) {
				always := func(s *spec.Service) { s.Restart.Name = "always" }
				p := project(service("web", always), service("db", always, after("web", spec.ServiceStarted, false)))
				b.up(p, ask.UpOptions{})
				b.heal()
				tt.before(b, p)
				b.host.StartTakes = func(c runtime.Config) time.Duration {
					if c.Labels["com.docker.compose.service"] == "db" {
						return 10 * time.Second
					}
					return 0
				}
				ended := make(chan error, 1)
				go func() { ended <- tt.do(b, p) }()
				time.Sleep(5 * time.Second)
				b.must(b.engine.Single().Kill(b.Context(), "shop-web-1", ""))
				if dies {
					b.store.Dead = func() bool { return true }
					b.shut()
					<-ended
					b.store.Dead = nil
					b.boot()
				} else if err := <-ended; err != nil {
					b.Error(err)
				}
				b.same("is wished for", b.lasting(), "db-1")
				b.reboot()
				b.same("is wished for, says the next daemon", b.lasting(), "db-1")
			})
		}
		t.Run(name, func(t *testing.T) { outlived(t, false) })
		t.Run(name+", which the next daemon carries on", func(t *testing.T) { outlived(t, true) })
	}
}

// TestACommandThatCannotBeCarriedOnYet: the daemon dies while a command waits for a container, and the next one cannot look at the host for a while, in which that container ends. Its
// policy does not start it again, and when the host can be looked at the command is carried to its end.
func TestACommandThatCannotBeCarriedOnYet(t *testing.T) {
	for verb, do := range patient {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				b.up(deaf(b), ask.UpOptions{})
				b.heal()
				ctx, die := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				go func() { ended <- do(b, ctx) }()
				synctest.Wait() // it waits for web
				b.store.Dead = func() bool { return true }
				die()
				if err := <-ended; err == nil {
					b.Error("it succeeds")
				}
				b.shut()
				b.store.Dead = nil
				var blind atomic.Bool
				b.host.Listed = func() error {
					if blind.Load() {
						return errors.New("too many open files")
					}
					return nil
				}
				b.boot()
				blind.Store(true)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				blind.Store(false)
				b.same("runs when it can be looked at", b.running(), "db-1")
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				b.same("runs then", b.running(), "")
			})
		})
	}
}

// TestAPolicyHoldsAfterACommandThatWasCarriedOnAndFailed: a container whose pre_stop refuses under the next daemon, and which ends by itself some day, is started again.
func TestAPolicyHoldsAfterACommandThatWasCarriedOnAndFailed(t *testing.T) {
	for verb, do := range patient {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				var refuses atomic.Bool
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
					if refuses.Load() {
						return 3, 0, ""
					}
					return 0, time.Hour, ""
				}
				b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: 5 * time.Minute} }
				b.up(project(service("web", func(s *spec.Service) {
					s.Restart.Name, s.PreStop = "always", []spec.Hook{{Command: []string{"hook"}}}
				})), ask.UpOptions{})
				b.heal()
				ctx, die := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				go func() { ended <- do(b, ctx) }()
				synctest.Wait() // it waits for the hook
				b.store.Dead = func() bool { return true }
				die()
				if err := <-ended; err == nil {
					b.Error("it succeeds")
				}
				b.shut()
				b.store.Dead = nil
				refuses.Store(true)
				b.boot()
				for range 3 {
					time.Sleep(6 * time.Minute) // it ends
					b.same("runs", b.running(), "web-1")
				}
			})
		})
	}
}

// crashing is web, which crashes at once until well, is started again by its policy, less and less often, and has a hook before its stops.
func crashing(b *bench) (web *spec.Service, well *atomic.Bool) {
	well = new(atomic.Bool)
	b.host.Program = func(c runtime.Config) fake.Program {
		if c.Labels["com.docker.compose.service"] == "web" && !well.Load() {
			return fake.Program{For: time.Millisecond, Code: 1}
		}
		return fake.Program{}
	}
	return service("web", func(s *spec.Service) {
		s.Restart.Name, s.PreStop = "always", []spec.Hook{{Command: []string{"hook"}}}
	}), well
}

// TestWhatWaitsForItsPolicyWhenAnUpFailsIsWishedForStill: it got to run, and runs again soon.
func TestWhatWaitsForItsPolicyWhenAnUpFailsIsWishedForStill(t *testing.T) {
	for verb, do := range map[string]func(b *bench, p *spec.Project) error{
		"up": func(b *bench, p *spec.Project) error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, nil) },
		"start": func(b *bench, p *spec.Project) error {
			if err := b.engine.Up(b.Context(), p, ask.UpOptions{NoStart: true}, nil); err != nil {
				return nil
			}
			return b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, nil)
		},
	} {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				web, well := crashing(b)
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "no answer" }
				if err := do(b, project(web, service("db", healthy), service("side", after("db", spec.ServiceHealthy, false)))); err == nil {
					b.Error("it succeeds")
				}
				b.same("runs when it fails", b.running(), "db-1")
				well.Store(true)
				time.Sleep(2 * time.Minute)
				b.same("runs when its policy has started it", b.running(), "db-1 web-1")
				b.crash()
				b.heal()
				b.same("runs after a reboot", b.running(), "db-1 web-1")
			})
		})
	}
}

// TestAKillOfWhatWaitsForItsPolicy: no policy starts it again.
func TestAKillOfWhatWaitsForItsPolicy(t *testing.T) {
	for name, do := range map[string]func(b *bench) error{
		"kill":                 func(b *bench) error { return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil) },
		"kill of one":          func(b *bench) error { return b.engine.Single().Kill(b.Context(), "shop-web-1", "") },
		"kill of one, by TERM": func(b *bench) error { return b.engine.Single().Kill(b.Context(), "shop-web-1", "TERM") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				web, well := crashing(b)
				b.up(project(web, service("db")), ask.UpOptions{})
				b.heal()
				if _, err := b.engine.Single().Stop(b.Context(), "shop-db-1", single.StopOptions{}); err != nil {
					b.Fatal(err)
				}
				b.same("state of web", b.state("shop-web-1"), "restarting")
				well.Store(true)
				if err := do(b); err != nil {
					b.Error(err)
				}
				b.same("state of web after it", b.state("shop-web-1"), "exited")
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				b.same("runs", b.running(), "")
				b.crash()
				b.heal()
				b.same("runs after a reboot", b.running(), "")
			})
		})
	}
}

// TestAKillEndsTheWaitForWhatWaitsForItsPolicy: who has the turn waits for the health of a container that waits to be started again; neither that nor the kill waits for it any longer.
func TestAKillEndsTheWaitForWhatWaitsForItsPolicy(t *testing.T) {
	run(t, func(b *bench) {
		web, _ := crashing(b)
		healthy(web)
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "no answer" }
		ended := make(chan error, 1)
		go func() {
			ended <- b.engine.Up(b.Context(), project(web, service("db", after("web", spec.ServiceHealthy, false))), ask.UpOptions{}, nil)
		}()
		time.Sleep(10 * time.Second)
		b.same("state of web", b.state("shop-web-1"), "restarting")
		began := time.Now()
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			b.Errorf("it took %s", took)
		}
		b.same("state of web after it", b.state("shop-web-1"), "exited")
		if err := <-ended; err == nil {
			b.Error("the up succeeds")
		}
	})
}

// TestARemovalOfOneByForceRunsNoHook: nor of what its policy was just starting when it came.
func TestARemovalOfOneByForceRunsNoHook(t *testing.T) {
	run(t, func(b *bench) {
		web, well := crashing(b)
		var hooks atomic.Int32
		var slow atomic.Bool
		begun := make(chan bool, 1)
		b.host.StartTakes = func(runtime.Config) time.Duration {
			if !slow.Load() {
				return 0
			}
			begun <- true
			return time.Minute
		}
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) {
			hooks.Add(1)
			return 3, 0, ""
		}
		b.up(project(web), ask.UpOptions{})
		b.heal()
		b.same("state of web", b.state("shop-web-1"), "restarting")
		well.Store(true)
		slow.Store(true)
		<-begun
		if err := b.engine.Single().Remove(b.Context(), "shop-web-1", single.RemoveOptions{Force: true}); err != nil {
			b.Error(err)
		}
		b.same("state of web after it", b.state("shop-web-1"), "gone")
		if n := hooks.Load(); n > 0 {
			b.Errorf("%d hooks were run", n)
		}
	})
}

// TestARemovalLeavesWhatWaitsForItsPolicy: an rm without --stop takes what is down for good, as with docker compose.
func TestARemovalLeavesWhatWaitsForItsPolicy(t *testing.T) {
	run(t, func(b *bench) {
		web, well := crashing(b)
		b.up(project(web, service("db")), ask.UpOptions{})
		b.heal()
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil); err != nil {
			b.Error(err)
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Error(err)
		}
		b.same("state of db", b.state("shop-db-1"), "gone")
		well.Store(true)
		b.same("is wished for", b.lasting(), "web-1")
	})
}
