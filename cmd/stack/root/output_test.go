package root_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

func TestExitCodes(t *testing.T) {
	exit, err := process.Exit{}, error(nil)
	u := stacktest.NewPerson(t, &apitest.Engine{
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
		code, _, errs := u.Run(tt.line)
		if code != tt.code || !strings.Contains(errs, tt.says) || tt.says == "" && errs != "" {
			t.Errorf("stack %s: code %d, stderr %q; want %d, %q", tt.line, code, errs, tt.code, tt.says)
		}
	}
	exit, err = process.Exit{}, nil
	if _, out, _ := u.Run("run -d web"); !strings.HasPrefix(out, "shop-web-run-") || len(strings.TrimSpace(out)) != len("shop-web-run-")+12 {
		t.Errorf("run -d printed %q", out)
	}
}

func TestErrorsAreShownWithTheirPlace(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnUp: func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error {
		return diag.List{{Summary: "port is taken", Detail: "8080, by pid 7", Hint: "choose another"}}.Err()
	}})
	u.Write("compose.yaml", "services:\n  web:\n    imagee: nginx\n")
	code, _, errs := u.Run("up -d")
	if code != 1 || !strings.Contains(errs, "compose.yaml:3:5") || !strings.Contains(errs, "imagee: nginx") {
		t.Errorf("a bad key: %d\n%s", code, errs)
	}
	u.Write("compose.yaml", stacktest.Shop)
	code, _, errs = u.Run("up -d")
	if code != 1 || !strings.Contains(errs, "port is taken: 8080, by pid 7") || !strings.Contains(errs, "choose another") {
		t.Errorf("from the daemon: %d\n%s", code, errs)
	}
	_, _, errs = u.Run("--progress json up -d")
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
	u := stacktest.NewPerson(t, &apitest.Engine{OnContainers: func(_ context.Context, name string) ([]ask.Container, error) {
		asked = name
		return nil, nil
	}})
	delete(u.Env, "COMPOSE_FILE")
	u.Env["PWD"] = "/"
	if code, _, errs := u.Run("-p ghost --project-directory " + t.TempDir() + " ps"); code != 0 || asked != "ghost" {
		t.Errorf("with -p: %d, %q, %s", code, asked, errs)
	}
	delete(u.Env, "COMPOSE_PROJECT_NAME")
	code, _, errs := u.Run("--project-directory " + t.TempDir() + " ps")
	if code != 1 || !strings.Contains(errs, "compose.yaml") {
		t.Errorf("without: %d, %s", code, errs)
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
	u := stacktest.NewPerson(t, &apitest.Engine{
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
		if code, errs := u.Into(fullDisk{}, strings.Fields(line)...); code != 1 || !strings.Contains(errs, "no space left on device") {
			t.Errorf("%s: code %d, %q", line, code, errs)
		}
	}
}
