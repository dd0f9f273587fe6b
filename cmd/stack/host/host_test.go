package host_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

func TestDumpAsDot(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnDump: func(_ context.Context, name string, p *spec.Project) (*ask.Dump, error) {
		if p == nil || p.Services["web"] == nil {
			t.Error("the file was not sent")
		}
		return &ask.Dump{Project: name, Desired: json.RawMessage("{}"), Observed: json.RawMessage("{}"), Steps: json.RawMessage("[]"), Graph: ask.Graph{
			Resources: []ask.Node{{ID: "service:web", Text: `we"b`, Kind: plan.KindContainer}, {ID: "network:n", Text: "n", Kind: plan.KindNetwork}},
			Steps:     []ask.Node{{ID: "#1", Text: "create"}},
			Edges:     []ask.Edge{{From: "service:web", To: "network:n", Weak: true}},
		}}, nil
	}})
	_, out, _ := u.Run("debug dump --format dot")
	for _, want := range []string{`digraph "shop" {`, `"service:web" [label="we\"b", shape=box];`, `"#1" [label="#1 create"`, `"service:web" -> "network:n" [label="", style=dashed];`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	path := filepath.Join(u.Dir, "dump")
	if code, _, errs := u.Run("debug dump -o " + path); code != 0 || errs != "" {
		t.Errorf("%d, %q", code, errs)
	}
	if text, err := os.ReadFile(path); err != nil || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
	u.Tells(map[string]stacktest.Ending{"debug dump --format yaml": {Code: exitcode.Failed, Want: "json or dot"}, "debug nonsense": {Code: exitcode.Failed, Want: "unknown command"}})
}

func TestEventsHaveComposesForm(t *testing.T) {
	code := 3
	u := stacktest.NewPerson(t, &apitest.Engine{OnEvents: func(_ context.Context, _ string, o event.Window) <-chan event.Event {
		ch := make(chan event.Event, 20)
		for _, e := range []event.Event{
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Working, Text: "Creating"},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Done, Text: "Created"},
			{Kind: "container", Name: "shop-db-1", ID: "beef", Service: "db", Phase: event.Done, Text: "Exited", Exit: &code},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Working, Text: "Killing", Signal: "SIGHUP"},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Done, Text: "Killed", Signal: "SIGHUP"},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Working, Text: "Stopping", Signal: "SIGTERM"},
			{Kind: "container", Name: "shop-web-1", ID: "f00d", Service: "web", Phase: event.Done, Text: "Stopped"},
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
	_, out, _ := u.Run("events")
	if want := `2026-01-02 12:00:00.001000 container create f00d (name=shop-web-1)
2026-01-02 12:00:00.001000 container die beef (exitCode=3, name=shop-db-1)
2026-01-02 12:00:00.001000 container kill f00d (name=shop-web-1, signal=1)
2026-01-02 12:00:00.001000 container kill f00d (name=shop-web-1, signal=15)
2026-01-02 12:00:00.001000 container stop f00d (name=shop-web-1)
2026-01-02 12:00:00.001000 container recreate shop-web-1 (name=shop-web-1, reason=image: "a" -> "b")
2026-01-02 12:00:00.001000 network create shop_default (name=shop_default)
`; out != want {
		t.Errorf("got\n%s", out)
	}
	_, out, _ = u.Run("events --json db")
	var e map[string]any
	if err := json.Unmarshal([]byte(out), &e); err != nil || e["action"] != "die" || e["type"] != "container" || e["service"] != "db" || e["id"] != "beef" || e["attributes"].(map[string]any)["exitCode"] != "3" {
		t.Errorf("%v: %s", err, out)
	}
	u.Tells(map[string]stacktest.Ending{"events --since x": {Code: exitcode.Failed, Want: "invalid --since"}, "events --until x": {Code: exitcode.Failed, Want: "invalid --until"}, "events nobody": {Code: exitcode.Failed, Want: "no such service"}})
}

func TestGCEnds(t *testing.T) {
	found := &ask.Garbage{Found: []ask.Debris{{Name: "snapshot 1", Why: "no container has it"}}, Skipped: []string{"images: a pull"}}
	u := stacktest.NewPerson(t, &apitest.Engine{OnGC: func(_ context.Context, o ask.GCOptions) (*ask.Garbage, error) {
		found.Removed = !o.Check
		return found, nil
	}})
	u.Tells(map[string]stacktest.Ending{"gc": {Code: 0, Want: "snapshot 1: no container has it\n1 removed\n"}, "gc --check": {Code: exitcode.Differs, Want: "1 to remove"}, "gc --check --format json": {Code: exitcode.Differs, Want: `"removed": false`}, "gc x": {Code: exitcode.Failed, Want: "`stack gc` takes options only"}})
	found = &ask.Garbage{}
	u.Tells(map[string]stacktest.Ending{"gc": {Code: 0, Want: "nothing to remove"}, "gc --check": {Code: 0, Want: "nothing to remove"}})
}

// after is a moment so many milliseconds after some noon.
func after(ms int) time.Time {
	return time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local).Add(time.Duration(ms) * time.Millisecond)
}
