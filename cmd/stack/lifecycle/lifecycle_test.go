package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

func TestLifecycleFlagsReachTheEngine(t *testing.T) {
	var verb string
	var got ask.ServiceOptions
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnVerb: func(_ context.Context, v, project string, o ask.ServiceOptions, _ event.Sink) error {
			verb, got = v+" "+project, o
			return nil
		},
		OnContainers: func(context.Context, string) ([]ask.Container, error) {
			return []ask.Container{{Name: "shop-db-1", Service: "db", State: "exited"}}, nil
		},
	})
	two := 2 * time.Second
	for _, tt := range []struct {
		line, verb string
		want       ask.ServiceOptions
	}{
		{"stop -t 2 web", "stop shop", ask.ServiceOptions{Services: []string{"web"}, Timeout: &two, Command: "stop -t 2 web"}},
		{"start --wait --wait-timeout 2", "start shop", ask.ServiceOptions{Wait: true, WaitTimeout: two, Command: "start --wait --wait-timeout 2"}},
		{"restart --no-deps db", "restart shop", ask.ServiceOptions{Services: []string{"db"}, NoDeps: true, Command: "restart --no-deps db"}},
		{"kill", "kill shop", ask.ServiceOptions{Signal: "SIGKILL"}},
		{"kill -s hup web", "kill shop", ask.ServiceOptions{Services: []string{"web"}, Signal: "hup"}},
		{"rm -f -s -v", "remove shop", ask.ServiceOptions{Stop: true, Volumes: true}},
		{"-p other stop", "stop other", ask.ServiceOptions{Command: "-p other stop"}},
	} {
		if code, _, errs := u.Run(tt.line); code != 0 {
			t.Errorf("stack %s: code %d: %s", tt.line, code, errs)
			continue
		}
		tt.want.Known = true // by the file
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || verb != tt.verb {
			t.Errorf("stack %s: %s, (-want +got)\n%s", tt.line, verb, diff)
		}
	}
	u.Env["COMPOSE_REMOVE_ORPHANS"] = "1"
	if code, _, errs := u.Run("kill"); code != 0 || !got.RemoveOrphans {
		t.Errorf("kill with COMPOSE_REMOVE_ORPHANS: %d, %+v, %s", code, got, errs)
	}
	if code, _, errs := u.Run("kill --remove-orphans=false"); code != 0 || got.RemoveOrphans {
		t.Errorf("kill --remove-orphans=false: %d, %+v, %s", code, got, errs)
	}
	delete(u.Env, "COMPOSE_REMOVE_ORPHANS")
	// It is about the warnings of up: docker compose refuses both there, and nowhere else.
	u.Env["COMPOSE_IGNORE_ORPHANS"] = "1"
	if code, _, errs := u.Run("kill --remove-orphans"); code != 0 || !got.RemoveOrphans {
		t.Errorf("kill --remove-orphans with COMPOSE_IGNORE_ORPHANS: %d, %+v, %s", code, got, errs)
	}
	delete(u.Env, "COMPOSE_IGNORE_ORPHANS")
	verb = ""
	if code, _, errs := u.Run("rm"); code != 0 || verb != "" || !strings.Contains(errs, "Going to remove shop-db-1") {
		t.Errorf("rm without an answer: %d, %q, %s", code, verb, errs)
	}
}
