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

// TestBuildFlagsOfUp: those of up, create and run, and what --quiet-build leaves out.
func TestBuildFlagsOfUp(t *testing.T) {
	var got ask.UpOptions
	engine := &apitest.Engine{OnUp: func(_ context.Context, _ *spec.Project, o ask.UpOptions, s event.Sink) error {
		got = o
		s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Working, Text: "Building", Detail: "[1/2] RUN x"})
		s(event.Event{Kind: "image", Name: "db:1", Phase: event.Working, Text: "Pulling"})
		return nil
	}}
	u := stacktest.NewPerson(t, engine)
	for line, want := range map[string]ask.UpOptions{
		"up -d --build":                  {Build: true},
		"up -d --no-build":               {NoBuild: true},
		"up -d --pull build":             {Pull: "build"},
		"create --build":                 {Build: true, NoStart: true},
		"up -d --quiet-build --no-build": {NoBuild: true},
		"up -d --quiet-pull":             {},
	} {
		code, _, errs := u.Run(line)
		if code != 0 {
			t.Fatalf("stack %s: code %d: %s", line, code, errs)
		}
		want.Command = line
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", line, diff)
		}
		if strings.Contains(errs, "RUN x") == strings.Contains(line, "quiet-build") || strings.Contains(errs, "Pulling") == strings.Contains(line, "quiet-pull") {
			t.Errorf("stack %s says\n%s", line, errs)
		}
	}
}
