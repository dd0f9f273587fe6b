package reconcile_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
)

// TestCommitKilled: a container that a commit has paused goes on with the next daemon, one that its user has paused does not.
func TestCommitKilled(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("web"), service("db")), ask.UpOptions{})
		if err := b.engine.Pause(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil); err != nil {
			b.Fatal(err)
		}
		var dead atomic.Bool
		b.store.Dead = dead.Load
		b.host.Fault = func(op string, _ bool) error {
			if op == "Images.CommitSnapshot" {
				dead.Store(true)
			}
			if dead.Load() {
				return errCrash
			}
			return nil
		}
		for _, name := range []string{"web", "db"} {
			dead.Store(false)
			if _, err := b.engine.Commit(b.Context(), "shop", ask.CommitOptions{Service: name}, nil); !errors.Is(err, errCrash) {
				b.Fatal(err)
			}
		}
		states := func(when, web, db string) {
			b.Helper()
			if rows := b.rows("shop"); rows["shop-web-1"].State != web || rows["shop-db-1"].State != db {
				b.Errorf("%s: web is %s, db is %s", when, rows["shop-web-1"].State, rows["shop-db-1"].State)
			}
		}
		b.shut()
		dead.Store(false)
		b.host.Fault = nil
		b.boot()
		states("with the next daemon", "running", "paused")

		if _, err := b.engine.Commit(b.Context(), "shop", ask.CommitOptions{Service: "web"}, nil); err != nil {
			b.Error(err)
		}
		states("after a commit", "running", "paused")
		if err := b.engine.Pause(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}}, nil); err != nil {
			b.Fatal(err)
		}
		b.reboot()
		states("paused by its user", "paused", "paused")
	})
}
