package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// TestWhoWaitsGivesWay: an up, a run or a start that waits for somebody to become healthy, and the next ones, are no reason for who stops the project to
// wait. Who takes one service down waits for its turn.
func TestWhoWaitsGivesWay(t *testing.T) {
	for verb, stop := range map[string]func(b *bench) error{
		"down": func(b *bench) error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink) },
		"stop": func(b *bench) error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink) },
	} {
		t.Run(verb, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "" }
				db := service("db", healthy)
				db.HealthCheck.StartPeriod = time.Hour
				p := project(db, service("api", after("db", spec.ServiceHealthy, false)), service("once"))
				ended := make(chan error)
				bringing := []func() error{
					func() error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink) },
					func() error {
						_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "api"}, process.IO{}, b.sink)
						return err
					},
					func() error {
						return b.engine.Start(b.Context(), "shop", ask.ServiceOptions{Wait: true}, b.sink)
					},
				}
				for _, bring := range bringing {
					go func() { ended <- bring() }()
					time.Sleep(time.Second) // the first waits for db, the others for it
				}
				begun := time.Now()
				if err := stop(b); err != nil {
					b.Errorf("it ended with %v", err)
				}
				if took := time.Since(begun); took > 30*time.Second { // as long as a container may take to stop
					b.Errorf("it took %s", took)
				}
				for range bringing {
					if err := <-ended; !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "was cut short: another command stops the project") {
						b.Errorf("who waited got %v", err)
					}
				}
				for name, row := range b.rows("shop") {
					if row.State == "running" {
						b.Errorf("%s runs", name)
					}
				}
				b.host.ExecResult = nil
				b.up(p, ask.UpOptions{})
			})
		})
	}
}
