package plans_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// after is a moment so many milliseconds after some noon.
func after(ms int) time.Time {
	return time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local).Add(time.Duration(ms) * time.Millisecond)
}

func TestPlanIsSavedAndApplied(t *testing.T) {
	var asked ask.ApplyOptions
	var file string
	answer := &ask.Saved{Preview: somePreview(), File: []byte("the plan")}
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnSave: func(context.Context, *spec.Project, ask.UpOptions) (*ask.Saved, error) {
			return answer, nil
		},
		OnApply: func(_ context.Context, f []byte, o ask.ApplyOptions, _ event.Sink) error {
			asked, file = o, string(f)
			if strings.Contains(file, "bad") {
				return errdefs.With(errdefs.ErrConflict, errors.New("cannot apply this plan: moved"))
			}
			return nil
		},
	})
	path := filepath.Join(u.Dir, "p.json")
	if code, out, errs := u.Args("plan", "-o", path); code != exitcode.Differs || !strings.Contains(out, "shop-web-1") || errs != "" {
		t.Errorf("plan -o: %d, %q, %q", code, out, errs)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	link := filepath.Join(u.Dir, "link") // what it leads to is no file to be replaced
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := u.Args("plan", "-o", link); code != exitcode.Differs || errs != "" {
		t.Errorf("plan -o to a device: %d, %q", code, errs)
	}
	if to, err := os.Readlink(link); err != nil || to != os.DevNull {
		t.Errorf("the way to the device leads to %q: %v", to, err)
	}
	if code, out, errs := u.Args("plan", "-o", "-"); code != exitcode.Differs || out != "the plan" || !strings.Contains(errs, "shop-web-1") {
		t.Errorf("plan -o -: %d, %q, %q", code, out, errs)
	}
	if code, _, errs := u.Args("-p", "other", "apply", path); code != 0 || errs != "" || asked.Project != "other" {
		t.Errorf("apply of another's: %d, %q, %+v", code, errs, asked)
	}
	if code, _, errs := u.Args("apply", "--wait", "--wait-timeout", "7", path); code != 0 || errs != "" {
		t.Errorf("apply: %d, %q", code, errs)
	}
	if file != "the plan" || !asked.Wait || asked.WaitTimeout != 7*time.Second || asked.Command != "apply --wait --wait-timeout 7 "+path {
		t.Errorf("%q, %+v", file, asked)
	}
	answer = &ask.Saved{Preview: somePreview()} // with faults it could not be carried out
	os.Remove(path)
	u.Args("plan", "-o", path)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a plan that cannot be carried out was saved: %v", err)
	}
	u.Write("bad", "bad")
	u.Tells(map[string]stacktest.Ending{
		"apply":                                 {Code: exitcode.Failed, Want: "file of one plan"},
		"apply a b":                             {Code: exitcode.Failed, Want: "file of one plan"},
		"apply " + path:                         {Code: exitcode.Failed, Want: "cannot read the plan"},
		"apply " + filepath.Join(u.Dir, "bad"):  {Code: exitcode.Failed, Want: "cannot apply this plan: moved"},
		"apply --wait-timeout 1 x":              {Code: exitcode.Failed, Want: "needs --wait"},
		"apply --wait --wait-timeout -1 x":      {Code: exitcode.Failed, Want: "number of seconds"},
		"-f compose.yaml apply x":               {Code: exitcode.Failed, Want: "cannot apply a plan with -f:"},
		"--profile a apply x":                   {Code: exitcode.Failed, Want: "cannot apply a plan with --profile:"},
		"--env-file e apply x":                  {Code: exitcode.Failed, Want: "cannot apply a plan with --env-file:"},
		"--project-directory . apply x":         {Code: exitcode.Failed, Want: "cannot apply a plan with --project-directory:"},
		"--isolated apply x":                    {Code: exitcode.Failed, Want: "cannot apply a plan with --isolated:"},
		"--all-resources apply x":               {Code: exitcode.Failed, Want: "cannot apply a plan with --all-resources:"},
		"plan -o " + u.Dir + "/nowhere/p.json":  {Code: exitcode.Differs, Want: "shop-web-1"}, // nothing to save: no place is needed
		"--progress quiet plan -o /dev/null/no": {Code: exitcode.Differs, Want: "shop-web-1"},
	})
	answer.File = []byte("x")
	if code, _, errs := u.Run("plan -o " + u.Dir + "/nowhere/p.json"); code != exitcode.Failed || !strings.Contains(errs, "cannot save the plan") {
		t.Errorf("%d, %q", code, errs)
	}
}

func someHistory() []history.Entry {
	changes := somePreview().Changes
	return []history.Entry{
		{Number: 3, Time: after(0), Ended: after(1500), Command: "up -d", Outcome: history.Done, Changes: changes[2:4]},
		{Number: 4, Time: after(60000), Command: "apply p\x1b[2J.json", Outcome: history.Interrupted, Changes: changes[4:]},
		{Number: 5, Time: after(90000), Ended: after(90012), Outcome: history.Failed, Error: "cannot start:\n  no", Changes: changes[4:]},
	}
}

func TestHistoryIsShown(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnHistory: func(context.Context, string) ([]history.Entry, error) { return someHistory(), nil }})
	_, out, _ := u.Run("history")
	if want := `NUMBER   TIME                  OUTCOME       TOOK   CHANGES       COMMAND
3        2026-01-02 12:00:00   done          1.5s   2 created     stack up -d
4        2026-01-02 12:01:00   interrupted   -      1 recreated   stack apply p.json
5        2026-01-02 12:01:30   failed        12ms   1 recreated   -
`; out != want {
		t.Errorf("got\n%s", out)
	}
	_, out, _ = u.Run("history 5")
	if want := `#5  2026-01-02 12:01:30  failed after 12ms
-
containers
  recreate shop-web-1
      environment.API_TOKEN: (hidden) -> (hidden)
      environment.LEVEL: "<1>" -> "2"

cannot start:
  no
`; out != want {
		t.Errorf("got\n%s", out)
	}
	var all []history.Entry
	if _, out, _ = u.Run("history --format json"); json.Unmarshal([]byte(out), &all) != nil || len(all) != 3 {
		t.Errorf("json: %s", out)
	}
	var one history.Entry
	if _, out, _ = u.Run("history --format json 4"); json.Unmarshal([]byte(out), &one) != nil || one.Outcome != history.Interrupted {
		t.Errorf("json: %s", out)
	}
	u.Tells(map[string]stacktest.Ending{
		"history 9": {Code: exitcode.Failed, Want: "cannot show #9"}, "history 0": {Code: exitcode.Failed, Want: "1 or more"}, "history x": {Code: exitcode.Failed, Want: "1 or more"},
		"history 1 2": {Code: exitcode.Failed, Want: "one number"}, "history --format yaml": {Code: exitcode.Failed, Want: "text or json"},
	})
}

func TestRollbackIsAnUpOfWhatWas(t *testing.T) {
	var back int
	var upped ask.UpOptions
	planned := false
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnRevision: func(_ context.Context, name string, n int) (*ask.Revision, error) {
			if back = n; n > 5 {
				return nil, errdefs.With(errdefs.ErrNotFound, errors.New("cannot go back so far"))
			}
			return &ask.Revision{Number: 7, Time: after(0), Project: &spec.Project{Name: name}, Scale: map[string]int{"web": 2}}, nil
		},
		OnUp: func(_ context.Context, _ *spec.Project, o ask.UpOptions, _ event.Sink) error {
			upped = o
			return nil
		},
		OnPlan: func(context.Context, *spec.Project, ask.UpOptions) (*ask.Preview, error) {
			planned = true
			return somePreview(), nil
		},
	})
	if code, _, errs := u.Run("rollback --wait"); code != 0 || back != 1 || !strings.Contains(errs, "back to #7") {
		t.Errorf("%d, %q, back %d", code, errs, back)
	}
	if !upped.RemoveOrphans || upped.Scale["web"] != 2 || !upped.Wait || upped.Command != "rollback --wait" {
		t.Errorf("%+v", upped)
	}
	upped = ask.UpOptions{}
	if code, out, _ := u.Run("rollback 3 --dry-run --format json"); code != exitcode.Differs || back != 3 || !planned || !json.Valid([]byte(out)) || upped.RemoveOrphans {
		t.Errorf("%d, %q, back %d, %+v", code, out, back, upped)
	}
	u.Tells(map[string]stacktest.Ending{
		"rollback 9": {Code: exitcode.Failed, Want: "so far"}, "rollback -- -1": {Code: exitcode.Failed, Want: "1 or more"}, "rollback --format json": {Code: exitcode.Failed, Want: "needs --dry-run"},
		"rollback --wait-timeout 3": {Code: exitcode.Failed, Want: "needs --wait"},
	})
}

// TestFaultsOfThePast: a rollback, and a saved plan, are of files as they were: their faults have places in those, and lines of what stands there now would be others.
func TestFaultsOfThePast(t *testing.T) {
	var at *diag.Range
	faulty := func() error {
		return diag.List{{Severity: diag.Error, Code: "image", Summary: "cannot get the image", Subject: at}}.Err()
	}
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnRevision: func(_ context.Context, name string, _ int) (*ask.Revision, error) {
			return &ask.Revision{Number: 7, Project: &spec.Project{Name: name}}, nil
		},
		OnUp:    func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error { return faulty() },
		OnApply: func(context.Context, []byte, ask.ApplyOptions, event.Sink) error { return faulty() },
	})
	at = &diag.Range{Start: diag.Pos{File: filepath.Join(u.Dir, "compose.yaml"), Line: 4, Column: 5}}
	u.Write("plan", "a plan")
	for command, line := range map[string]bool{"up -d": true, "rollback": false, "apply " + filepath.Join(u.Dir, "plan"): false} {
		_, _, errs := u.Run(command)
		if !strings.Contains(errs, "compose.yaml:4:5: error: cannot get the image") || strings.Contains(errs, "image: nginx") != line {
			t.Errorf("%s: %s", command, errs)
		}
	}
}

func TestWhyWithoutAContainer(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnWhy: func(_ context.Context, _ string, o ask.WhyOptions) (*ask.Why, error) {
		return &ask.Why{Project: "shop", Service: o.Service, Unfinished: &history.Entry{Number: 8, Command: "up -d", Outcome: history.Failed, Error: "no such program"}}, nil
	}})
	const want = "web has no container; `stack up` makes one\n\nthe last plan of shop is not done: #8, stack up -d, failed\n  no such program\n"
	if code, out, errs := u.Run("why web"); code != 0 || out != want {
		t.Errorf("%d, %s, %q", code, errs, out)
	}
}

func TestWhyText(t *testing.T) {
	v := &ask.Why{Project: "shop", Service: "web", Containers: []ask.WhyContainer{
		{
			Name: "shop-web-1", State: "running", Health: "healthy", StartedAt: after(2400),
			Start: &history.Start{Time: after(2400), Command: "up -d", Number: 7, Action: plan.Replace, Reasons: []plan.Reason{{Path: "image", From: `"app:1"`, To: `"app:2"`}},
				Path: []history.Step{
					{What: "pull image app:2", Begin: after(0), End: after(1900)},
					{What: "wait for db to be healthy", Begin: after(1900), End: after(2390), Probes: 3},
					{What: "start container shop-web-1", Begin: after(2390), End: after(2400)},
				}, Health: &history.Health{At: after(2900), Probes: 1}},
			Restart:  &ask.Restarted{Time: after(9000), Count: 2, Cause: "its restart policy (always): it had exited with code 1"},
			Evidence: ask.Evidence{Exit: &process.Exit{Code: 137, OOM: true, FinishedAt: after(8000)}, Log: []string{"out of \x07memory"}, Probes: []ask.ProbeResult{{ExitCode: 2, Output: "one\ntwo\n"}}},
		},
		{Name: "shop-web-2", State: "created"},
		{Name: "shop-web-3", State: "running", StartedAt: after(0)},
	}, Unfinished: &history.Entry{Number: 8, Command: "up -d", Outcome: history.Failed, Error: "cannot start:\n  no"}}
	const want = `shop-web-1: running, healthy, started 2026-01-02 12:00:02
  recreate by stack up -d (#7)
      image: "app:1" -> "app:2"
  the steps that decided when it ran, 2.4s:
         +0s  pull image app:2                1.9s
       +1.9s  wait for db to be healthy      490ms  (3 health checks)
      +2.39s  start container shop-web-1      10ms
  healthy 500ms after its start (1 health check)
  started again 2 times, last at 2026-01-02 12:00:09: its restart policy (always): it had exited with code 1
  its last run that has ended exited with code 137 (killed because it was out of memory) at 2026-01-02 12:00:08
  its last health check exited with code 2: one
    two
  the last lines of its log:
    out of memory

shop-web-2: created
  it has never been started

shop-web-3: running, started 2026-01-02 12:00:00
  how it came to run is not known: nothing that is remembered started it

the last plan of shop is not done: #8, stack up -d, failed
  cannot start:
    no
`
	u := stacktest.NewPerson(t, &apitest.Engine{OnWhy: func(_ context.Context, _ string, o ask.WhyOptions) (*ask.Why, error) {
		v.Service = o.Service
		return v, nil
	}})
	if code, out, errs := u.Run("why web"); code != 0 || out != want {
		t.Errorf("%d, %s, got\n%s", code, errs, out)
	}
	var back ask.Why
	if code, out, _ := u.Run("why web --format json"); code != 0 || json.Unmarshal([]byte(out), &back) != nil || len(back.Containers) != 3 {
		t.Errorf("%d, %s", code, out)
	} else if diff := cmp.Diff(v, &back); diff != "" {
		t.Errorf("what has travelled: (-want +got)\n%s", diff)
	}
	u.Tells(map[string]stacktest.Ending{"why": {Code: exitcode.Failed, Want: "one service"}, "why nobody": {Code: exitcode.Failed, Want: "no such service"}, "why web --format x": {Code: exitcode.Failed, Want: "text or json"}})
}
