package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
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

// TestTheEndIsToldBeforeTheStop: of whatever ends a container, the signal is told first, then its end, then that it was stopped, which a kill does not tell. So docker does.
func TestTheEndIsToldBeforeTheStop(t *testing.T) {
	const stop, kill = "Stopping Exited Stopped", "Killing Exited"
	hup := single.StopOptions{Signal: "HUP"}
	for name, tt := range map[string]struct {
		do   func(b *bench) error
		want string
	}{
		"stop":    {func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil) }, stop},
		"down":    {func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) }, stop},
		"restart": {func(b *bench) error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil) }, stop},
		"kill":    {func(b *bench) error { return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil) }, kill},
		"stop of one": {func(b *bench) error {
			_, err := b.engine.Single().Stop(b.Context(), "shop-web-1", single.StopOptions{})
			return err
		}, stop},
		"stop of one, by HUP": {func(b *bench) error { _, err := b.engine.Single().Stop(b.Context(), "shop-web-1", hup); return err }, stop},
		"kill of one":         {func(b *bench) error { return b.engine.Single().Kill(b.Context(), "shop-web-1", "") }, kill},
		"rm --force of one": {func(b *bench) error {
			return b.engine.Single().Remove(b.Context(), "shop-web-1", single.RemoveOptions{Force: true})
		}, kill},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // who tells of the end does it beside whoever stops it
				run(t, func(b *bench) {
					b.up(project(service("web")), ask.UpOptions{})
					b.listen()
					if err := tt.do(b); err != nil {
						b.Error(err)
					}
					synctest.Wait()
					b.mu.Lock()
					defer b.mu.Unlock()
					var told []string
					for _, ev := range b.events {
						if slices.Contains([]string{"Killing", "Stopping", "Exited", "Stopped"}, ev.Text) && ev.Name == "shop-web-1" {
							told = append(told, ev.Text)
						}
					}
					b.same("told", strings.Join(told, " "), tt.want)
				})
			}
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
