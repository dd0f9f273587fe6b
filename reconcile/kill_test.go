package reconcile_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
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
