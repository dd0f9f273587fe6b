package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// refusing has web, whose pre_stop fails, db, which it needs, and side, which nobody needs.
func refusing(b *bench) *spec.Project {
	h := &hooked{end: func(name string) (int, time.Duration) {
		if name == "dying" {
			return 3, 0
		}
		return 0, 0
	}}
	h.on(b)
	always := func(s *spec.Service) { s.Restart.Name = "always" }
	return project(h.service(after("db", spec.ServiceStarted, false)), service("db"), service("side", always))
}

// lasting says what runs a minute later, when other hands have killed all that runs once more: what is wished for.
func (b *bench) lasting() string {
	b.Helper()
	time.Sleep(time.Minute)
	for name := range strings.FieldsSeq(b.running()) {
		b.kill("shop-" + name)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	return b.running()
}

// TestWhatRefusesToStopIsWishedForStill: a command that is to end several containers, of which one refuses, has ended the others for good, and the one that runs on is
// as it was: it comes back when other hands kill it.
func TestWhatRefusesToStopIsWishedForStill(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(b *bench) error
		want string
	}{
		"down": {func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) }, "db-1 web-1"},
		"down of what healing is about to make": {func(b *bench) error {
			b.host.RemoveContainer(b.rows("shop")["shop-side-1"].ID)
			return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil)
		}, "db-1 web-1"},
		"down of some": {func(b *bench) error {
			return b.engine.Down(b.Context(), "shop", ask.DownOptions{Services: []string{"web"}}, nil)
		}, "db-1 side-1 web-1"},
		"rm":   {func(b *bench) error { return b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Stop: true}, nil) }, "db-1 web-1"},
		"stop": {func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil) }, "db-1 web-1"},
		"stop of one": {func(b *bench) error {
			_, err := b.engine.Single().Stop(b.Context(), "shop-web-1", single.StopOptions{})
			return err
		}, "db-1 side-1 web-1"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := refusing(b)
				b.up(p, ask.UpOptions{})
				b.heal()
				if err := tt.do(b); err == nil || !strings.Contains(err.Error(), "pre_stop[0]") {
					b.Errorf("it came to %v", err)
				}
				b.same("wished for", b.lasting(), tt.want)
				b.reboot()
				b.same("wished for, says the next daemon", b.lasting(), tt.want)
				b.up(p, ask.UpOptions{})
				b.same("after an up", b.lasting(), "db-1 side-1 web-1")
			})
		})
	}
}

// TestWhatIsCarriedOnAndFails: whichever operation the daemon dies at, what a command has ended, in its hands or in those of the next daemon, stays so, and what
// refuses is wished for still.
func TestWhatIsCarriedOnAndFails(t *testing.T) {
	for verb, do := range map[string]func(b *bench) error{
		"down": func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) },
		"stop": func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil) },
		"rm":   func(b *bench) error { return b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Stop: true}, nil) },
	} {
		t.Run(verb, func(t *testing.T) { carriedOnAndFails(t, verb, do) })
	}
}

func carriedOnAndFails(t *testing.T, verb string, do func(b *bench) error) {
	begun := 0
	for n := 1; ; n++ {
		died := false
		run(t, func(b *bench) {
			b.up(refusing(b), ask.UpOptions{})
			b.heal()
			b.cut.At(n)
			_ = do(b) // fails, also when it is not cut
			died = b.cut.Died()
			want := "db-1 web-1"
			if raw, err := b.store.Get("projects", "shop"); err != nil {
				b.Fatal(err)
			} else if died && !strings.Contains(string(raw), `"verb":"`+verb+`"`) {
				want = "db-1 side-1 web-1" // it died before it had begun
			} else {
				begun++
			}
			b.shut()
			b.cut.Over()
			b.boot()
			b.same(fmt.Sprintf("wished for after it was cut at %d", n), b.lasting(), want)
		})
		if t.Failed() || !died {
			break
		}
	}
	if begun < 5 {
		t.Errorf("it was cut only %d times", begun)
	}
}

// TestADownThatIsCancelled: what it did not get to is wished for still; what was told to stop, and takes its time, is not.
func TestADownThatIsCancelled(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "web" {
				return fake.Program{IgnoreTerm: true, For: 30 * time.Second}
			}
			return fake.Program{}
		}
		always := func(s *spec.Service) { s.Restart.Name = "always" }
		b.up(project(service("web", always, after("db", spec.ServiceStarted, false)), service("db", always), service("side", always)), ask.UpOptions{})
		b.heal()
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		defer cancel()
		grace := time.Hour
		if err := b.engine.Down(ctx, "shop", ask.DownOptions{Timeout: &grace}, nil); err == nil {
			b.Error("it succeeds")
		}
		b.same("runs", b.running(), "db-1 web-1")
		b.same("wished for", b.lasting(), "db-1")
		b.reboot()
		b.same("wished for, says the next daemon", b.lasting(), "db-1")
	})
}

// takeAway are the commands that stop all of the project and remove it.
var takeAway = map[string]func(b *bench) error{
	"down": func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) },
	"rm":   func(b *bench) error { return b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Stop: true}, nil) },
}

// TestWhatItsPolicyStartsMeanwhileGoesToo: a container that waits to be started again when a command sees it, and runs when the command gets to it, is stopped as the others are.
func TestWhatItsPolicyStartsMeanwhileGoesToo(t *testing.T) {
	for name, do := range takeAway {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				always := func(s *spec.Service) { s.Restart.Name = "always" }
				b.up(project(service("web", after("db", spec.ServiceStarted, false)), service("db", always)), ask.UpOptions{})
				b.kill("shop-db-1")
				b.same("between its end and its next start", b.running(), "web-1")
				seen := slowStop(b) // web's: db's policy does not wait for it
				if err := do(b); err != nil {
					b.Error(err)
				}
				b.same("while web is stopped", *seen, "db-1 web-1")
				b.host.Fault = nil
				b.same("in the end", b.lasting(), "")
			})
		})
	}
}

// slowStop has the next stop of a container take a minute, of a clock that is the test's; what it points to says then what runs after that.
func slowStop(b *bench) *string {
	seen := new(string)
	b.host.Fault = func(op string, after bool) error {
		if op == "Containers.Stop" && !after && *seen == "" {
			time.Sleep(time.Minute)
			*seen = b.running()
		}
		return nil
	}
	return seen
}

// TestWhatItsPolicyStartsAndRefusesToStopIsWishedForStill: the one that runs when the command gets to it, because its policy has started it meanwhile, may refuse as the others may.
func TestWhatItsPolicyStartsAndRefusesToStopIsWishedForStill(t *testing.T) {
	for name, do := range takeAway {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 3, 0, "" }
				db := service("db", func(s *spec.Service) {
					s.Restart.Name, s.PreStop = "always", []spec.Hook{{Command: []string{"hook", "dying"}}}
				})
				b.up(project(service("web", after("db", spec.ServiceStarted, false)), db), ask.UpOptions{})
				b.kill("shop-db-1")
				b.same("between its end and its next start", b.running(), "web-1")
				seen := slowStop(b) // web's: db's policy does not wait for it
				if err := do(b); err == nil || !strings.Contains(err.Error(), "pre_stop[0]") {
					b.Errorf("it came to %v", err)
				}
				b.same("while web is stopped", *seen, "db-1 web-1")
				b.host.Fault = nil
				b.same("wished for", b.lasting(), "db-1")
				b.reboot()
				b.same("wished for, says the next daemon", b.lasting(), "db-1")
			})
		})
	}
}

// TestWhatWaitsForItsPolicyWhenACommandFailsIsWishedForStill: a container that the failed command did not get to, which waits to be started again.
func TestWhatWaitsForItsPolicyWhenACommandFailsIsWishedForStill(t *testing.T) {
	run(t, func(b *bench) {
		h := &hooked{end: func(name string) (int, time.Duration) {
			if name == "dying" {
				return 3, 0
			}
			return 0, 0
		}}
		h.on(b)
		once := func(s *spec.Service) { s.Restart = spec.RestartPolicy{Name: "on-failure", MaxAttempts: 1} } // then only healing brings it back
		b.up(project(h.service(after("db", spec.ServiceStarted, false)), service("db", once)), ask.UpOptions{})
		b.heal()
		b.kill("shop-db-1")
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil); err == nil || !strings.Contains(err.Error(), "pre_stop[0]") {
			b.Errorf("it came to %v", err)
		}
		b.same("between its end and its next start", b.running(), "web-1")
		b.same("wished for", b.lasting(), "db-1 web-1")
		b.reboot()
		b.same("wished for, says the next daemon", b.lasting(), "db-1 web-1")
	})
}
