package deploy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

func TestScaleReachesTheEngine(t *testing.T) {
	var got *ask.UpOptions
	u := stacktest.NewPerson(t, &apitest.Engine{OnUp: func(_ context.Context, _ *spec.Project, o ask.UpOptions, _ event.Sink) error {
		got = &o
		return nil
	}})
	for _, tt := range []struct {
		line string
		want ask.UpOptions
	}{
		{"scale web=3", ask.UpOptions{Services: []string{"web"}, Scale: map[string]int{"web": 3}}},
		{"scale web=0 db=2", ask.UpOptions{Services: []string{"db", "web"}, Scale: map[string]int{"web": 0, "db": 2}}},
		{"--parallel 2 scale --no-deps web=1", ask.UpOptions{Services: []string{"web"}, Scale: map[string]int{"web": 1}, NoDeps: true, Parallel: 2}},
	} {
		got = nil
		if code, out, errs := u.Run(tt.line); code != 0 || out != "" || got == nil {
			t.Errorf("stack %s: code %d, %q, %s", tt.line, code, out, errs)
			continue
		}
		tt.want.Command = tt.line
		if diff := cmp.Diff(tt.want, *got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", tt.line, diff)
		}
	}
	got = nil
	for line, want := range map[string]string{
		"scale":           "scale needs a service and a number",
		"scale web":       `invalid argument "web", expected SERVICE=NUMBER`,
		"scale web=":      `invalid argument "web=", expected SERVICE=NUMBER`,
		"scale =2":        `invalid argument "=2", expected SERVICE=NUMBER`,
		"scale web=-1":    `invalid argument "web=-1", expected SERVICE=NUMBER`,
		"scale nobody=1":  "no such service: nobody",
		"scale web=1 x=y": `invalid argument "x=y", expected SERVICE=NUMBER`,
	} {
		if code, out, errs := u.Run(line); code != 1 || out != "" || !strings.Contains(errs, want) || got != nil {
			t.Errorf("stack %s: code %d, %q, %q; want %q", line, code, out, errs, want)
		}
	}
}
