package deploy_test

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
	"github.com/stackrun/stack/spec"
)

func TestUpFlagsReachTheEngine(t *testing.T) {
	var got ask.UpOptions
	u := stacktest.NewPerson(t, &apitest.Engine{OnUp: func(_ context.Context, _ *spec.Project, o ask.UpOptions, _ event.Sink) error {
		got = o
		return nil
	}})
	ten := 10 * time.Second
	for _, tt := range []struct {
		line string
		env  map[string]string
		want ask.UpOptions
	}{
		{"up -d", nil, ask.UpOptions{}},
		{"up -d web", nil, ask.UpOptions{Services: []string{"web"}}},
		{"up --wait --wait-timeout 10 -t 10", nil, ask.UpOptions{Wait: true, WaitTimeout: ten, Timeout: &ten}},
		{"up -d --force-recreate --no-deps --always-recreate-deps -V --pull always", nil,
			ask.UpOptions{ForceRecreate: true, NoDeps: true, AlwaysDeps: true, RenewAnon: true, Pull: "always"}},
		{"up -d --no-recreate --remove-orphans --scale web=3 --scale db=0", nil,
			ask.UpOptions{NoRecreate: true, RemoveOrphans: true, Scale: map[string]int{"web": 3, "db": 0}}},
		{"up --no-start", nil, ask.UpOptions{NoStart: true}},
		{"--parallel 3 up -d", nil, ask.UpOptions{Parallel: 3}},
		{"--parallel -1 up -d", nil, ask.UpOptions{Parallel: -1}},
		{"--ansi never --parallel -1 -p shop up -d web", nil, ask.UpOptions{Parallel: -1, Services: []string{"web"}}},
		{"up -d --parallel -1", nil, ask.UpOptions{Parallel: -1}},
		{"--parallel=-1 create", map[string]string{"COMPOSE_PARALLEL_LIMIT": "2"}, ask.UpOptions{NoStart: true, Parallel: -1}},
		{"up -d", map[string]string{"COMPOSE_PARALLEL_LIMIT": "2"}, ask.UpOptions{Parallel: 2}},
		{"create --pull never", nil, ask.UpOptions{NoStart: true, Pull: "never"}},
		{"up -d", map[string]string{"COMPOSE_REMOVE_ORPHANS": "1"}, ask.UpOptions{RemoveOrphans: true}},
		{"up -d", map[string]string{"COMPOSE_IGNORE_ORPHANS": "1"}, ask.UpOptions{IgnoreOrphans: true}},
		{"up -d --remove-orphans=false", map[string]string{"COMPOSE_REMOVE_ORPHANS": "1"}, ask.UpOptions{}},
	} {
		for k, v := range tt.env {
			u.Env[k] = v
		}
		if code, _, errs := u.Run(tt.line); code != 0 {
			t.Errorf("stack %s: code %d: %s", tt.line, code, errs)
		}
		for k := range tt.env {
			delete(u.Env, k)
		}
		tt.want.Command = tt.line
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", tt.line, diff)
		}
	}
	u.Env["COMPOSE_IGNORE_ORPHANS"] = "true"
	if code, _, errs := u.Run("up -d --remove-orphans"); code != 1 || !strings.Contains(errs, "cannot combine") {
		t.Errorf("both: %d, %s", code, errs)
	}
}
