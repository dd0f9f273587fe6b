package reconcile_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// TestEventsOfARun: who listens to a project is told of a one-off what docker tells of a container: made, started, ended, removed, each with its id.
func TestEventsOfARun(t *testing.T) {
	for name, detach := range map[string]bool{"attached": false, "detached": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("web"))
				b.up(p, ask.UpOptions{})
				b.events = nil
				b.listen()
				done := make(chan error, 1)
				go func() {
					_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Name: "once", Remove: true, Detach: detach}, process.IO{}, nil)
					done <- err
				}()
				synctest.Wait()
				id := b.rows("shop")["once"].ID
				if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Signal: "SIGRTMIN+3"}, nil); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				synctest.Wait()
				told := map[string]string{}
				b.mu.Lock()
				for _, ev := range b.events {
					if ev.Name == "once" && ev.Phase == event.Done {
						told[ev.Text] = ev.ID
						if ev.Text == "Started" && ev.Detail != "" {
							b.Errorf("it was started because of %q", ev.Detail)
						}
						if ev.Text == "Exited" && *ev.Exit != 128+37 {
							b.Errorf("SIGRTMIN+3 has ended it with %d", *ev.Exit)
						}
					}
				}
				b.mu.Unlock()
				for _, text := range []string{"Created", "Started", "Exited", "Removed"} {
					if told[text] != id || id == "" {
						b.Errorf("%s of %q, want %q", text, told[text], id)
					}
				}
			})
		})
	}
}

// TestKilledOneOffsGo: a run --rm that is killed leaves nothing, whoever is there to see its end.
func TestKilledOneOffsGo(t *testing.T) {
	for name, tt := range map[string]struct{ detach, reboot, keep bool }{
		"detached":              {detach: true},
		"its daemon was killed": {detach: true, reboot: true},
		"attached":              {},
		"without --rm":          {detach: true, keep: true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("web"))
				b.up(p, ask.UpOptions{})
				done := make(chan error, 1)
				go func() {
					_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Name: "once", Remove: !tt.keep, Detach: tt.detach}, process.IO{}, nil)
					done <- err
				}()
				synctest.Wait()
				if tt.reboot {
					b.reboot()
				}
				if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				synctest.Wait()
				if _, there := b.rows("shop")["once"]; there != tt.keep {
					b.Errorf("it is there: %v, want %v", there, tt.keep)
				}
				if got := b.rows("shop")["shop-web-1"].State; got != "exited" {
					b.Errorf("the service's container is %q", got)
				}
			})
		})
	}
}

// TestAOneOffThatCannotBeStartedGoes: nothing of it has run. One whose hook has failed has.
func TestAOneOffThatCannotBeStartedGoes(t *testing.T) {
	for name, tt := range map[string]struct{ detach, named, hook bool }{
		"attached":              {},
		"detached":              {detach: true},
		"named":                 {detach: true, named: true},
		"its post_start failed": {detach: true, hook: true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("web"))
				b.up(p, ask.UpOptions{})
				before := b.host.Left()
				if tt.hook {
					p.Services["web"].PostStart = []spec.Hook{{Command: []string{"hook"}}}
					b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 3, 0, "" }
				} else {
					b.host.Program = func(runtime.Config) fake.Program { return fake.Program{StartError: errors.New("no such program")} }
				}
				o := ask.RunOptions{Service: "web", Detach: tt.detach}
				if tt.named {
					o.Name = "once"
				}
				if _, err := b.engine.Run(b.Context(), p, o, process.IO{}, nil); err == nil {
					b.Error("it succeeds")
				}
				synctest.Wait()
				if left := b.host.Left(); (len(left) == len(before)) == tt.hook {
					b.Errorf("left: %v; before: %v", left, before)
				}
			})
		})
	}
}
