package main

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
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// after is a moment so many milliseconds after some noon.
func after(ms int) time.Time {
	return time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local).Add(time.Duration(ms) * time.Millisecond)
}

// ending is how a command ends, and something that it says.
type ending struct {
	code int
	want string
}

// tells runs each line and compares its end.
func (u *person) tells(lines map[string]ending) {
	u.t.Helper()
	for line, tt := range lines {
		if code, out, errs := u.run(line); code != tt.code || !strings.Contains(out+errs, tt.want) {
			u.t.Errorf("stack %s: code %d, %q, %q; want %d, %q", line, code, out, errs, tt.code, tt.want)
		}
	}
}

func TestPlanIsSavedAndApplied(t *testing.T) {
	var asked ask.ApplyOptions
	var file string
	answer := &ask.Saved{Preview: somePreview(), File: []byte("the plan")}
	u := newPerson(t, &apitest.Engine{
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
	path := filepath.Join(u.dir, "p.json")
	if code, out, errs := u.args("plan", "-o", path); code != exitcode.Differs || !strings.Contains(out, "shop-web-1") || errs != "" {
		t.Errorf("plan -o: %d, %q, %q", code, out, errs)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if code, _, errs := u.args("apply", "--wait", "--wait-timeout", "7", path); code != 0 || errs != "" {
		t.Errorf("apply: %d, %q", code, errs)
	}
	if file != "the plan" || !asked.Wait || asked.WaitTimeout != 7*time.Second || asked.Command != "apply --wait --wait-timeout 7 "+path {
		t.Errorf("%q, %+v", file, asked)
	}
	answer = &ask.Saved{Preview: somePreview()} // with faults it could not be carried out
	os.Remove(path)
	u.args("plan", "-o", path)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a plan that cannot be carried out was saved: %v", err)
	}
	u.write("bad", "bad")
	u.tells(map[string]ending{
		"apply":                                 {exitcode.Failed, "file of one plan"},
		"apply a b":                             {exitcode.Failed, "file of one plan"},
		"apply " + path:                         {exitcode.Failed, "cannot read the plan"},
		"apply " + filepath.Join(u.dir, "bad"):  {exitcode.Failed, "cannot apply this plan: moved"},
		"apply --wait-timeout 1 x":              {exitcode.Failed, "needs --wait"},
		"apply --wait --wait-timeout -1 x":      {exitcode.Failed, "number of seconds"},
		"plan -o " + u.dir + "/nowhere/p.json":  {exitcode.Differs, "shop-web-1"}, // nothing to save: no place is needed
		"--progress quiet plan -o /dev/null/no": {exitcode.Differs, "shop-web-1"},
	})
	answer.File = []byte("x")
	if code, _, errs := u.run("plan -o " + u.dir + "/nowhere/p.json"); code != exitcode.Failed || !strings.Contains(errs, "cannot save the plan") {
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
	u := newPerson(t, &apitest.Engine{OnHistory: func(context.Context, string) ([]history.Entry, error) { return someHistory(), nil }})
	_, out, _ := u.run("history")
	if want := `NUMBER   TIME                  OUTCOME       TOOK   CHANGES       COMMAND
3        2026-01-02 12:00:00   done          1.5s   2 created     stack up -d
4        2026-01-02 12:01:00   interrupted   -      1 recreated   stack apply p.json
5        2026-01-02 12:01:30   failed        12ms   1 recreated   -
`; out != want {
		t.Errorf("got\n%s", out)
	}
	_, out, _ = u.run("history 5")
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
	if _, out, _ = u.run("history --format json"); json.Unmarshal([]byte(out), &all) != nil || len(all) != 3 {
		t.Errorf("json: %s", out)
	}
	var one history.Entry
	if _, out, _ = u.run("history --format json 4"); json.Unmarshal([]byte(out), &one) != nil || one.Outcome != history.Interrupted {
		t.Errorf("json: %s", out)
	}
	u.tells(map[string]ending{
		"history 9": {exitcode.Failed, "cannot show #9"}, "history 0": {exitcode.Failed, "1 or more"}, "history x": {exitcode.Failed, "1 or more"},
		"history 1 2": {exitcode.Failed, "one number"}, "history --format yaml": {exitcode.Failed, "text or json"},
	})
}

func TestRollbackIsAnUpOfWhatWas(t *testing.T) {
	var back int
	var upped ask.UpOptions
	planned := false
	u := newPerson(t, &apitest.Engine{
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
	if code, _, errs := u.run("rollback --wait"); code != 0 || back != 1 || !strings.Contains(errs, "back to #7") {
		t.Errorf("%d, %q, back %d", code, errs, back)
	}
	if !upped.RemoveOrphans || upped.Scale["web"] != 2 || !upped.Wait || upped.Command != "rollback --wait" {
		t.Errorf("%+v", upped)
	}
	upped = ask.UpOptions{}
	if code, out, _ := u.run("rollback 3 --dry-run --format json"); code != exitcode.Differs || back != 3 || !planned || !json.Valid([]byte(out)) || upped.RemoveOrphans {
		t.Errorf("%d, %q, back %d, %+v", code, out, back, upped)
	}
	u.tells(map[string]ending{
		"rollback 9": {exitcode.Failed, "so far"}, "rollback -- -1": {exitcode.Failed, "1 or more"}, "rollback --format json": {exitcode.Failed, "needs --dry-run"},
		"rollback --wait-timeout 3": {exitcode.Failed, "needs --wait"},
	})
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
	u := newPerson(t, &apitest.Engine{OnWhy: func(_ context.Context, _ string, o ask.WhyOptions) (*ask.Why, error) {
		v.Service = o.Service
		return v, nil
	}})
	if code, out, errs := u.run("why web"); code != 0 || out != want {
		t.Errorf("%d, %s, got\n%s", code, errs, out)
	}
	var back ask.Why
	if code, out, _ := u.run("why web --format json"); code != 0 || json.Unmarshal([]byte(out), &back) != nil || len(back.Containers) != 3 {
		t.Errorf("%d, %s", code, out)
	} else if diff := cmp.Diff(v, &back); diff != "" {
		t.Errorf("what has travelled: (-want +got)\n%s", diff)
	}
	u.tells(map[string]ending{"why": {exitcode.Failed, "one service"}, "why nobody": {exitcode.Failed, "no such service"}, "why web --format x": {exitcode.Failed, "text or json"}})
}

func TestEventsHaveComposesForm(t *testing.T) {
	code := 3
	u := newPerson(t, &apitest.Engine{OnEvents: func(_ context.Context, _ string, o event.Window) <-chan event.Event {
		ch := make(chan event.Event, 10)
		for _, e := range []event.Event{
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Working, Text: "Creating"},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Done, Text: "Created"},
			{Kind: "container", Name: "shop-db-1", ID: "beef", Service: "db", Phase: event.Done, Text: "Exited", Exit: &code},
			{Kind: "container", Name: "shop-web-1", Service: "web", Phase: event.Working, Text: "Recreate", Detail: `image: "a" -> "b"`},
			{Kind: "network", Name: "shop_default", Phase: event.Done, Text: "Created"},
			{Kind: "container", Name: "shop-web-1", Service: "web", Phase: event.Done, Text: "Healthy", Awaited: true},
		} {
			e.Time = after(1)
			ch <- e
		}
		close(ch)
		return ch
	}})
	_, out, _ := u.run("events")
	if want := `2026-01-02 12:00:00.001000 container create f00d (name=shop-web-1)
2026-01-02 12:00:00.001000 container die beef (exitCode=3, name=shop-db-1)
2026-01-02 12:00:00.001000 container recreate shop-web-1 (name=shop-web-1, reason=image: "a" -> "b")
2026-01-02 12:00:00.001000 network create shop_default (name=shop_default)
`; out != want {
		t.Errorf("got\n%s", out)
	}
	_, out, _ = u.run("events --json db")
	var e map[string]any
	if err := json.Unmarshal([]byte(out), &e); err != nil || e["action"] != "die" || e["type"] != "container" || e["service"] != "db" || e["id"] != "beef" || e["attributes"].(map[string]any)["exitCode"] != "3" {
		t.Errorf("%v: %s", err, out)
	}
	u.tells(map[string]ending{"events --since x": {exitcode.Failed, "invalid --since"}, "events --until x": {exitcode.Failed, "invalid --until"}, "events nobody": {exitcode.Failed, "no such service"}})
}

func TestGCEnds(t *testing.T) {
	found := &ask.Garbage{Found: []ask.Debris{{Name: "snapshot 1", Why: "no container has it"}}, Skipped: []string{"images: a pull"}}
	u := newPerson(t, &apitest.Engine{OnGC: func(_ context.Context, o ask.GCOptions) (*ask.Garbage, error) {
		found.Removed = !o.Check
		return found, nil
	}})
	u.tells(map[string]ending{"gc": {0, "snapshot 1: no container has it\n1 removed\n"}, "gc --check": {exitcode.Differs, "1 to remove"}, "gc --check --format json": {exitcode.Differs, `"removed": false`}, "gc x": {exitcode.Failed, "unknown"}})
	found = &ask.Garbage{}
	u.tells(map[string]ending{"gc": {0, "nothing to remove"}, "gc --check": {0, "nothing to remove"}})
}

func TestDumpAsDot(t *testing.T) {
	u := newPerson(t, &apitest.Engine{OnDump: func(_ context.Context, name string, p *spec.Project) (*ask.Dump, error) {
		if p == nil || p.Services["web"] == nil {
			t.Error("the file was not sent")
		}
		return &ask.Dump{Project: name, Desired: json.RawMessage("{}"), Observed: json.RawMessage("{}"), Steps: json.RawMessage("[]"), Graph: ask.Graph{
			Resources: []ask.Node{{ID: "service:web", Text: `we"b`, Kind: plan.KindContainer}, {ID: "network:n", Text: "n", Kind: plan.KindNetwork}},
			Steps:     []ask.Node{{ID: "#1", Text: "create"}},
			Edges:     []ask.Edge{{From: "service:web", To: "network:n", Weak: true}},
		}}, nil
	}})
	_, out, _ := u.run("debug dump --format dot")
	for _, want := range []string{`digraph "shop" {`, `"service:web" [label="we\"b", shape=box];`, `"#1" [label="#1 create"`, `"service:web" -> "network:n" [label="", style=dashed];`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	path := filepath.Join(u.dir, "dump")
	if code, _, errs := u.run("debug dump -o " + path); code != 0 || errs != "" {
		t.Errorf("%d, %q", code, errs)
	}
	if text, err := os.ReadFile(path); err != nil || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
	u.tells(map[string]ending{"debug dump --format yaml": {exitcode.Failed, "json or dot"}, "debug nonsense": {exitcode.Failed, "unknown command"}})
}
