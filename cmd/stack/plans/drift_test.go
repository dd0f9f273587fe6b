package plans_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

func somePreview() *ask.Preview {
	return &ask.Preview{Project: "shop", Changes: []plan.Change{
		{ID: plan.ID{Kind: plan.KindImage, Name: "nginx"}, Name: "nginx", Action: plan.Ask, Reasons: []plan.Reason{{Path: "its pull policy asks for a look at the registry"}}},
		{ID: plan.ID{Kind: plan.KindImage, Name: "postgres"}, Name: "postgres", Action: plan.Pull, Reasons: []plan.Reason{{Path: "it is not on this host"}}},
		{ID: plan.ID{Kind: plan.KindNetwork, Name: "shop_default"}, Name: "shop_default", Action: plan.Create, Reasons: []plan.Reason{{Path: "its bridge is gone"}}},
		{ID: plan.Container("db", 1), Name: "shop-db-1", Action: plan.Create, Reasons: []plan.Reason{{Path: "it does not exist"}}},
		{ID: plan.Container("web", 1), Name: "shop-web-1", Action: plan.Replace, Reasons: []plan.Reason{
			{Path: "environment.API_TOKEN", From: "(hidden)", To: "(hidden)"}, {Path: "environment.LEVEL", From: `"<1>"`, To: `"2"`}}},
	}}
}

func TestPlanAndDriftEnd(t *testing.T) {
	var asked ask.UpOptions
	answer := somePreview()
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnPlan: func(_ context.Context, _ *spec.Project, o ask.UpOptions) (*ask.Preview, error) {
			asked = o
			return answer, nil
		},
		OnDrift: func(context.Context, string) (*ask.Preview, error) { return answer, nil },
		OnPlanRestart: func(context.Context, string, ask.ServiceOptions) (*ask.Preview, error) {
			return answer, nil
		},
		OnContainers: func(context.Context, string) ([]ask.Container, error) { return nil, nil },
		OnUp: func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error {
			t.Error("up was called")
			return nil
		},
	})
	// A plan is asked for in each of these ways, and never an up.
	for _, line := range []string{"plan", "up --dry-run", "--dry-run up -d", "plan --format json", "up --dry-run --format json", "drift", "drift --format json", "restart --dry-run", "--dry-run restart --format json"} {
		answer = somePreview()
		if code, out, errs := u.Run(line); code != exitcode.Differs || !strings.Contains(out, "shop-web-1") || errs != "" {
			t.Errorf("stack %s: code %d, %q, %q", line, code, out, errs)
		} else if strings.Contains(line, "json") && !json.Valid([]byte(out)) {
			t.Errorf("stack %s: %s", line, out)
		}
		answer = &ask.Preview{Project: "shop", Changes: []plan.Change{}}
		if code, out, errs := u.Run(line); code != 0 || errs != "" {
			t.Errorf("stack %s: code %d, %q, %q", line, code, out, errs)
		}
	}
	u.Run("plan --force-recreate --no-deps --always-recreate-deps -V --remove-orphans --scale web=2 --pull always web")
	if o := asked; !o.ForceRecreate || !o.NoDeps || !o.AlwaysDeps || !o.RenewAnon || !o.RemoveOrphans || o.Scale["web"] != 2 || o.Pull != "always" || !slices.Equal(o.Services, []string{"web"}) {
		t.Errorf("asked for %+v", o)
	}
	answer = somePreview()
	answer.Faults = []*diag.Diagnostic{{Code: "port-taken", Summary: "a port that is to be published is taken"}}
	if code, out, errs := u.Run("plan"); code != exitcode.Failed || !strings.Contains(out, "shop-web-1") || !strings.Contains(errs, "is taken") {
		t.Errorf("a plan that would be refused: code %d, %q, %q", code, out, errs)
	}
	if code, _, _ := u.Run("drift"); code != exitcode.Differs {
		t.Errorf("drift: code %d", code)
	}
	for line, want := range map[string]string{
		"plan --format yaml": "expected text or json", "drift --format x": "expected text or json", "up -d --format json": "needs --dry-run", "plan --no-recreate --force-recreate": "incompatible",
		"plan nobody": "no such service", "--dry-run ps": "not supported", "drift web": "`stack drift` takes options only, and \"web\" is none",
	} {
		if code, _, errs := u.Run(line); code != exitcode.Failed || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q, want %q", line, code, errs, want)
		}
	}
}
