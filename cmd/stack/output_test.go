package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
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
	u := newPerson(t, &apitest.Engine{OnContainers: func(context.Context, string) ([]ask.Container, error) { return fleet(), nil }})
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
		code, out, errs := u.run(tt.line)
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != tt.want {
			t.Errorf("stack %s: code %d, got %q, want %q; %s", tt.line, code, got, tt.want, errs)
		}
	}
	_, out, _ := u.run("ps -a --format json db")
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
	u := newPerson(t, &apitest.Engine{
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
	_, out, errs := u.run("logs --no-color --tail 5 --since 10m")
	want := "db-1   | ready\nweb-1  | oops\nweb-1  | half whole\nspecial  | open\ndb-1     | \n"
	if out != want || errs != "" {
		t.Errorf("got\n%s%s", out, errs)
	}
	if asked.Tail != 5 || asked.Follow || time.Since(asked.Since) < 9*time.Minute {
		t.Errorf("asked for %+v", asked)
	}
	_, out, _ = u.run("logs --no-log-prefix -t db")
	if !strings.HasPrefix(out, "2026-01-02T12:00:00.000000000Z ready\n") {
		t.Errorf("got %q", out)
	}
	_, out, _ = u.run("--ansi always logs")
	if !strings.Contains(out, "\x1b[") {
		t.Errorf("no colours in %q", out)
	}
}

func TestExitCodes(t *testing.T) {
	exit, err := process.Exit{}, error(nil)
	u := newPerson(t, &apitest.Engine{
		OnExec: func(context.Context, string, ask.ExecOptions, process.IO) (process.Exit, error) {
			return exit, err
		},
		OnRun: func(_ context.Context, _ *spec.Project, o ask.RunOptions, s process.IO, _ event.Sink) (process.Exit, error) {
			if s.Stdout != nil {
				io.WriteString(s.Stdout, "out")
			}
			return exit, err
		},
		OnUp: func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error { return err },
	})
	for _, tt := range []struct {
		line string
		exit process.Exit
		err  error
		code int
		says string
	}{
		{"exec web true", process.Exit{}, nil, 0, ""},
		{"exec web sh -c x", process.Exit{Code: 3}, nil, 3, ""},
		{"exec web nothing", process.Exit{Code: 127, Error: "exec: \"nothing\": not found"}, nil, 127, "not found"},
		{"exec web true", process.Exit{}, errdefs.With(errdefs.ErrNotFound, errors.New("service web does not run")), 1, "does not run"},
		{"run --rm web true", process.Exit{Code: 137}, nil, 137, ""},
		{"run --rm web", process.Exit{}, errors.New("no image"), 1, "no image"},
		{"run -d web nothing", process.Exit{Code: 127, Error: "exec: \"nothing\": not found"}, nil, 127, "not found"},
		{"exec -d web nothing", process.Exit{Code: 127, Error: "exec: \"nothing\": not found"}, nil, 127, "not found"},
		{"up -d", process.Exit{}, errors.New("disk full"), 1, "disk full"},
		{"up -d", process.Exit{}, context.Canceled, 130, ""},
		{"version --short", process.Exit{}, nil, 0, ""},
	} {
		exit, err = tt.exit, tt.err
		code, _, errs := u.run(tt.line)
		if code != tt.code || !strings.Contains(errs, tt.says) || tt.says == "" && errs != "" {
			t.Errorf("stack %s: code %d, stderr %q; want %d, %q", tt.line, code, errs, tt.code, tt.says)
		}
	}
	exit, err = process.Exit{}, nil
	if _, out, _ := u.run("run -d web"); !strings.HasPrefix(out, "shop-web-run-") || len(strings.TrimSpace(out)) != len("shop-web-run-")+12 {
		t.Errorf("run -d printed %q", out)
	}
}

func TestErrorsAreShownWithTheirPlace(t *testing.T) {
	u := newPerson(t, &apitest.Engine{OnUp: func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error {
		return diag.List{{Summary: "port is taken", Detail: "8080, by pid 7", Hint: "choose another"}}.Err()
	}})
	u.write("compose.yaml", "services:\n  web:\n    imagee: nginx\n")
	code, _, errs := u.run("up -d")
	if code != 1 || !strings.Contains(errs, "compose.yaml:3:5") || !strings.Contains(errs, "imagee: nginx") {
		t.Errorf("a bad key: %d\n%s", code, errs)
	}
	u.write("compose.yaml", shop)
	code, _, errs = u.run("up -d")
	if code != 1 || !strings.Contains(errs, "port is taken: 8080, by pid 7") || !strings.Contains(errs, "choose another") {
		t.Errorf("from the daemon: %d\n%s", code, errs)
	}
	_, _, errs = u.run("--progress json up -d")
	var line struct {
		Error   bool
		Message string
	}
	if err := json.Unmarshal([]byte(errs), &line); err != nil || !line.Error || !strings.Contains(line.Message, "8080") {
		t.Errorf("as json: %v, %q", err, errs)
	}
}

func TestProjectByNameAlone(t *testing.T) {
	var asked string
	u := newPerson(t, &apitest.Engine{OnContainers: func(_ context.Context, name string) ([]ask.Container, error) {
		asked = name
		return nil, nil
	}})
	delete(u.env, "COMPOSE_FILE")
	u.env["PWD"] = "/"
	if code, _, errs := u.run("-p ghost --project-directory " + t.TempDir() + " ps"); code != 0 || asked != "ghost" {
		t.Errorf("with -p: %d, %q, %s", code, asked, errs)
	}
	delete(u.env, "COMPOSE_PROJECT_NAME")
	code, _, errs := u.run("--project-directory " + t.TempDir() + " ps")
	if code != 1 || !strings.Contains(errs, "compose.yaml") {
		t.Errorf("without: %d, %s", code, errs)
	}
}

func TestDownOfNothingWarns(t *testing.T) {
	u := newPerson(t, &apitest.Engine{OnDown: func(context.Context, string, ask.DownOptions, event.Sink) error { return nil }})
	code, _, errs := u.run("down -v")
	if code != 0 || !strings.Contains(errs, "warning: nothing to remove") {
		t.Errorf("got %d, %q", code, errs)
	}
}

func TestConfigNames(t *testing.T) {
	u := newPerson(t, nil)
	for line, want := range map[string]string{
		"config --services": "db web", "config --images": "nginx postgres", "config --profiles": "tools", "config -q": "",
		"--profile tools config --services": "batch db web", "config --services web": "db web",
	} {
		code, out, errs := u.run(line)
		if got := strings.Join(strings.Fields(out), " "); code != 0 || got != want {
			t.Errorf("stack %s: %d, %q, %s", line, code, got, errs)
		}
	}
	if _, out, _ := u.run("config"); !strings.Contains(out, "image: postgres") {
		t.Errorf("config printed %q", out)
	}
}

// fullDisk is a file on one.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestFullDisk: what cannot be written is no success, however short it is.
func TestFullDisk(t *testing.T) {
	one := ask.Container{
		ID: "aaa", Name: "shop-web-1", Project: "shop", Service: "web", Replica: 1, State: "exited", Exit: &process.Exit{},
		Ports: []ask.Publisher{{TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}},
	}
	u := newPerson(t, &apitest.Engine{
		OnContainers: func(context.Context, string) ([]ask.Container, error) { return []ask.Container{one}, nil },
		OnProjects: func(context.Context) ([]ask.ProjectSummary, error) {
			return []ask.ProjectSummary{{Name: "shop", States: map[string]int{"running": 1}}}, nil
		},
		OnImages: func(context.Context, string) ([]ask.ContainerImage, error) {
			return []ask.ContainerImage{{Service: "web", ID: "sha256:abc"}}, nil
		},
		OnVolumes: func(context.Context, string) ([]ask.Volume, error) {
			return []ask.Volume{{Name: "shop_data"}}, nil
		},
		OnRun: func(context.Context, *spec.Project, ask.RunOptions, process.IO, event.Sink) (process.Exit, error) {
			return process.Exit{}, nil
		},
	})
	for _, line := range []string{"images -q", "volumes -q", "ps -a -q", "ps -a --services", "ls -q", "port web 80", "version", "version --short", "wait web", "run -d web"} {
		if code, errs := u.into(fullDisk{}, strings.Fields(line)...); code != 1 || !strings.Contains(errs, "no space left on device") {
			t.Errorf("%s: code %d, %q", line, code, errs)
		}
	}
}
