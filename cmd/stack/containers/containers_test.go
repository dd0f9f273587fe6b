package containers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func fleet() []ask.Container {
	return []ask.Container{
		{
			ID: "aaa", Name: "shop-web-2", Project: "shop", Service: "web", Replica: 2, Image: "nginx:1.22", State: "running", Health: "starting",
			Command: []string{"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"}, CreatedAt: noon.Add(-3 * time.Minute), StartedAt: noon.Add(-time.Minute),
			Ports: []ask.Publisher{{URL: "0.0.0.0", TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}, {URL: "::", TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}},
		},
		{ID: "bbb", Name: "shop-db-1", Project: "shop", Service: "db", Replica: 1, Image: "postgres:15", State: "exited",
			CreatedAt: noon.Add(-50 * time.Hour), Exit: &process.Exit{Code: 137, OOM: true, FinishedAt: noon.Add(-30 * time.Second)}},
		{ID: "ccc", Name: "shop-web-1", Project: "shop", Service: "web", Replica: 1, Image: "nginx:1.22", State: "running", Health: "healthy",
			Command: []string{"nginx"}, CreatedAt: noon.Add(-2 * time.Hour), StartedAt: noon.Add(-2 * time.Hour), Labels: map[string]string{"b": "2", "a": "1"}},
		{ID: "ddd", Name: "shop-old-1", Project: "shop", Service: "old", Replica: 1, State: "running", Orphan: true, StartedAt: noon, CreatedAt: noon},
	}
}

func TestPsChoosesAndFormats(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnContainers: func(context.Context, string) ([]ask.Container, error) { return fleet(), nil }})
	for _, tt := range []struct{ line, want string }{
		{"ps -q", "ddd ccc aaa"},
		{"ps -q -a", "bbb ddd ccc aaa"},
		{"ps -q --orphans=false", "ccc aaa"},
		{"ps -q --status exited", "bbb"},
		{"ps -q --filter status=exited", "bbb"},
		{"ps -q web", "ccc aaa"},
		{"ps --services", "old web"},
		{"ps --services -a", "db old web"},
		{"ps --format {{.Name}}:{{.State}} web", "shop-web-1:running shop-web-2:running"},
	} {
		code, out, errs := u.Run(tt.line)
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != tt.want {
			t.Errorf("stack %s: code %d, got %q, want %q; %s", tt.line, code, got, tt.want, errs)
		}
	}
	// An orphan is one of a service that the file does not have any more, whatever the last up was made of.
	u.Write("later.yaml", "name: shop\nservices:\n  db: {image: x}\n  old: {image: x, profiles: [never]}\n")
	if code, out, errs := u.Run("-f " + filepath.Join(u.Dir, "later.yaml") + " ps -q -a --orphans=false"); code != 0 || strings.Join(strings.Fields(out), " ") != "bbb ddd" {
		t.Errorf("with a file that has been changed: code %d, got %q; %s", code, out, errs)
	}
	_, out, _ := u.Run("ps -a --format json db")
	var row map[string]any
	if err := json.Unmarshal([]byte(out), &row); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{
		"Command", "CreatedAt", "Engine", "ExitCode", "Health", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Name", "Names", "Networks", "Ports",
		"Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status",
	} {
		if _, ok := row[k]; !ok {
			t.Errorf("json has no %s", k)
		}
	}
	if row["ExitCode"] != 137.0 || row["State"] != "exited" || fmt.Sprint(row["Publishers"]) != "[]" {
		t.Errorf("got %s", out)
	}
}

func TestLogs(t *testing.T) {
	var asked ask.LogOptions
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnContainers: func(context.Context, string) ([]ask.Container, error) { return fleet(), nil },
		OnLogs: func(_ context.Context, _ string, o ask.LogOptions, each func(ask.LogEntry) error) error {
			asked = o
			for _, e := range []ask.LogEntry{
				{Container: "shop-db-1", Service: "db", Replica: 1, Time: noon, Stream: "stdout", Line: []byte("ready")},
				{Container: "shop-web-1", Service: "web", Replica: 1, Time: noon, Stream: "stderr", Line: []byte("oops")},
				{Container: "shop-web-1", Service: "web", Replica: 1, Time: noon, Stream: "stdout", Line: []byte("half"), Partial: true},
				{Container: "shop-web-1", Service: "web", Replica: 1, Time: noon, Stream: "stdout", Line: []byte(" whole")},
				{Container: "special", Service: "old", Replica: 1, Time: noon, Stream: "stdout", Line: []byte("open"), Partial: true},
				{Container: "shop-db-1", Service: "db", Replica: 1, Time: noon, Stream: "stdout", Line: nil},
			} {
				if err := each(e); err != nil {
					return err
				}
			}
			return nil
		},
	})
	_, out, errs := u.Run("logs --no-color --tail 5 --since 10m")
	want := "db-1   | ready\nweb-1  | oops\nweb-1  | half whole\nspecial  | open\ndb-1     | \n"
	if out != want || errs != "" {
		t.Errorf("got\n%s%s", out, errs)
	}
	if asked.Tail != 5 || asked.Follow || time.Since(asked.Since) < 9*time.Minute {
		t.Errorf("asked for %+v", asked)
	}
	_, out, _ = u.Run("logs --no-log-prefix -t db")
	if !strings.HasPrefix(out, "2026-01-02T12:00:00.000000000Z ready\n") {
		t.Errorf("got %q", out)
	}
	_, out, _ = u.Run("--ansi always logs")
	if !strings.Contains(out, "\x1b[") {
		t.Errorf("no colours in %q", out)
	}
	_, out, _ = u.Run("logs --json")
	for i, want := range []string{
		`{"container":"shop-db-1","service":"db","replica":1,"time":"2026-01-02T12:00:00Z","stream":"stdout","line":"ready"}`,
		`{"container":"shop-web-1","service":"web","replica":1,"time":"2026-01-02T12:00:00Z","stream":"stderr","line":"oops"}`,
		`{"container":"shop-web-1","service":"web","replica":1,"time":"2026-01-02T12:00:00Z","stream":"stdout","line":"half","partial":true}`,
	} {
		if got := strings.Split(out, "\n")[i]; got != want {
			t.Errorf("line %d is %s, expected %s", i, got, want)
		}
	}
	if code, _, errs := u.Run("logs --json -t"); code == 0 || !strings.Contains(errs, "--timestamps") {
		t.Errorf("--json --timestamps: %d, %s", code, errs)
	}
}
