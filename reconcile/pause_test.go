package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// TestPausedStaysPaused: nothing that looks after a container touches a paused one, whatever daemon is there, and its health is what it was.
func TestPausedStaysPaused(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("web", healthy), service("db")), ask.UpOptions{Wait: true})
		web := ask.ServiceOptions{Services: []string{"web"}}
		id := b.rows("shop")["shop-web-1"].ID
		b.listen()
		if err := b.engine.Pause(b.Context(), "shop", web, b.sink); err != nil {
			b.Fatal(err)
		}
		still := func(when string) {
			b.Helper()
			if got := b.rows("shop")["shop-web-1"]; got.State != "paused" || got.ID != id {
				b.Errorf("%s: %s is %s", when, got.ID, got.State)
			}
		}
		changes := b.changes(func() {
			time.Sleep(time.Hour) // in which a hundred probes would have failed
			b.heal()
			still("after an hour")
			b.reboot()
			b.listen()
			time.Sleep(time.Hour)
			b.heal()
			still("with the next daemon")
			b.up(project(service("web", healthy), service("db")), ask.UpOptions{})
			still("after an up")
		})
		if len(changes) != 0 {
			b.Errorf("while it was paused: %q", changes)
		}
		if b.engine.Idle() {
			b.Error("the daemon would leave what is paused alone")
		}
		_, err := b.engine.Exec(b.Context(), "shop", ask.ExecOptions{Service: "web", Args: []string{"true"}}, process.IO{})
		if !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "stack unpause web") {
			b.Errorf("exec: %v", err)
		}
		if err := b.engine.Pause(b.Context(), "shop", web, nil); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "it is paused already") {
			b.Errorf("paused a second time: %v", err)
		}
		if err := b.engine.Unpause(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		if err := b.engine.Unpause(b.Context(), "shop", web, nil); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "it is running already") {
			b.Errorf("unpaused a second time: %v", err)
		}
		b.heal()
		time.Sleep(time.Hour)
		if got := b.rows("shop")["shop-web-1"]; got.State != "running" || got.Health != "healthy" || got.Restarts != 0 || got.ID != id {
			b.Errorf("unpaused: %s, %s, %d restarts", got.State, got.Health, got.Restarts)
		}
		if n := b.told("Unhealthy") + b.told("Restart"); n != 0 {
			b.Errorf("%d times it was unhealthy or restarted", n)
		}
		if said := strings.Join(b.said(), "\n"); !strings.Contains(said, "shop-web-1 Paused") || !strings.Contains(said, "shop-web-1 Unpaused") || strings.Contains(said, "db-1 Paused") {
			b.Errorf("said\n%s", said)
		}
	})
}

// TestPausedCanBeEnded: by every verb that ends a container; and its policy is its own again.
func TestPausedCanBeEnded(t *testing.T) {
	for name, do := range map[string]func(b *bench) error{
		"stop":    func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil) },
		"kill":    func(b *bench) error { return b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil) },
		"restart": func(b *bench) error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, nil) },
		"down":    func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil) },
		"other hands": func(b *bench) error {
			return b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-web-1"].ID, unix.SIGKILL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.up(project(service("web", func(s *spec.Service) { s.Restart = spec.RestartPolicy{Name: "always"} })), ask.UpOptions{})
				if err := b.engine.Pause(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
					b.Fatal(err)
				}
				b.reboot()
				if err := do(b); err != nil {
					b.Fatal(err)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
				want := map[string]string{"stop": "exited", "kill": "exited", "restart": "running", "down": "", "other hands": "running"}[name]
				if got := b.rows("shop")["shop-web-1"].State; got != want {
					b.Errorf("it is %q, want %q", got, want)
				}
			})
		})
	}
}
