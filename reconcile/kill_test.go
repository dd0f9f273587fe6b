package reconcile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
)

// The second Ctrl-C of up: a kill does not wait for the stop that waits for the container.
func TestKillDoesNotWaitForAStop(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} }
		b.up(project(service("web")), ask.UpOptions{})
		stopped := make(chan error, 1)
		grace := time.Hour
		go func() {
			stopped <- b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Timeout: &grace}, b.sink)
		}()
		synctest.Wait() // the stop waits for the container
		began := time.Now()
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Signal: "SIGKILL"}, b.sink); err != nil {
			t.Fatal(err)
		}
		if err := <-stopped; err != nil || time.Since(began) > time.Second {
			t.Errorf("the stop ended with %v after %s", err, time.Since(began))
		}
		if c := b.rows("shop")["shop-web-1"]; c.State != "exited" {
			t.Errorf("the container is %s", c.State)
		}
	})
}

// TestEveryKillIsToldAlike: whoever sends a signal, that it is about to be sent is told, and that it was, with its name.
func TestEveryKillIsToldAlike(t *testing.T) {
	for name, tt := range map[string]struct {
		do     func(b *bench) error
		signal string
	}{
		"kill": {func(b *bench) error { return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil) }, "SIGKILL"},
		"kill with a signal": {func(b *bench) error {
			return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Signal: "hup"}, nil)
		}, "SIGHUP"},
		"kill that does not wait": {func(b *bench) error {
			grace := time.Hour
			stopped := make(chan error, 1)
			go func() { stopped <- b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Timeout: &grace}, nil) }()
			synctest.Wait() // the stop waits for the container
			return errors.Join(b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil), <-stopped)
		}, "SIGKILL"},
		"kill of one":               {func(b *bench) error { return b.engine.Single().Kill(b.Context(), "shop-web-1", "") }, "SIGKILL"},
		"kill of one with a signal": {func(b *bench) error { return b.engine.Single().Kill(b.Context(), "shop-web-1", "USR1") }, "SIGUSR1"},
		"rm --force of one": {func(b *bench) error {
			return b.engine.Single().Remove(b.Context(), "shop-web-1", single.RemoveOptions{Force: true})
		}, "SIGKILL"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} }
				b.up(project(service("web")), ask.UpOptions{})
				b.listen()
				id := b.rows("shop")["shop-web-1"].ID
				if err := tt.do(b); err != nil {
					b.Error(err)
				}
				synctest.Wait()
				var told []string
				b.mu.Lock()
				for _, ev := range b.events {
					if strings.HasPrefix(ev.Text, "Kill") {
						told = append(told, fmt.Sprintf("%s %s %s %q", ev.Phase, ev.Text, ev.Signal, ev.Detail))
						if ev.ID != id || ev.Name != "shop-web-1" || ev.Service != "web" {
							b.Errorf("told of another: %+v", ev)
						}
					}
				}
				b.mu.Unlock()
				b.same("told", strings.Join(told, "\n"), fmt.Sprintf("working Killing %[1]s \"\"\ndone Killed %[1]s \"\"", tt.signal))
			})
		})
	}
}

// TestWhatHasGoneIsNoFailureOfAKill: a container that is removed while somebody is about to kill it, or has just done that, by itself at its end say, is as one that has been killed, for the caller and in what is told.
func TestWhatHasGoneIsNoFailureOfAKill(t *testing.T) {
	for name, do := range map[string]func(b *bench) error{
		"kill": func(b *bench) error {
			return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, b.sink)
		},
		"kill that does not wait": func(b *bench) error {
			grace := time.Hour
			stopped := make(chan error, 1)
			go func() {
				stopped <- b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}, Timeout: &grace}, nil)
			}()
			synctest.Wait() // the stop waits for web
			killed := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, b.sink)
			return errors.Join(killed, <-stopped)
		},
		"rm --force of one": func(b *bench) error {
			return b.engine.Single().Remove(b.Context(), "shop-db-1", single.RemoveOptions{Force: true})
		},
	} {
		for when, sent := range map[string]bool{", before the kill": false, ", between the kill and the stop": true} {
			t.Run(name+when, func(t *testing.T) {
				run(t, func(b *bench) {
					b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} }
					b.up(project(service("web"), service("db")), ask.UpOptions{})
					b.listen()
					id := b.rows("shop")["shop-db-1"].ID
					b.host.Fault = func(op string, after bool) error {
						if op == "Containers.Kill" && after == sent {
							b.host.RemoveContainer(id)
						}
						return nil
					}
					if err := do(b); err != nil {
						b.Error(err)
					}
					synctest.Wait()
					b.mu.Lock()
					defer b.mu.Unlock()
					last := ""
					for _, ev := range b.events {
						if ev.Phase == event.Failed {
							b.Errorf("it is told that %s", ev.Detail)
						}
						if strings.HasPrefix(ev.Text, "Kill") {
							last = fmt.Sprintf("%s %s", ev.Phase, ev.Text)
						}
					}
					b.same("last told of the kill", last, "done Killed")
				})
			})
		}
	}
}
