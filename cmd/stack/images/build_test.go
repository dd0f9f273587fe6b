package images_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

func TestBuildFlagsReachTheEngine(t *testing.T) {
	var got ask.BuildOptions
	var project *spec.Project
	u := stacktest.NewPerson(t, &apitest.Engine{OnBuild: func(_ context.Context, p *spec.Project, o ask.BuildOptions, s event.Sink) error {
		got, project = o, p
		s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Working, Text: "Building", Detail: "[web 1/2]", Output: []byte("half a ")})
		s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Working, Text: "Building", Detail: "[web 1/2]", Output: []byte("line\nand")})
		s(event.Event{Kind: "image", Name: "shop-web", Phase: event.Done, Text: "Built"})
		return nil
	}})
	u.Write("compose.yaml", "services:\n  web:\n    build: {context: ., sbom: true}\n    env_file: nowhere.env\n")
	for _, tt := range []struct {
		line string
		want ask.BuildOptions
	}{
		{"build", ask.BuildOptions{}},
		{"build --no-cache --pull --with-dependencies web", ask.BuildOptions{Services: []string{"web"}, NoCache: true, Pull: true, Deps: true}},
		{"build --build-arg A=1=2 --build-arg HERE --build-arg NOWHERE", ask.BuildOptions{Args: map[string]string{"A": "1=2", "HERE": "yes"}}},
		{"build -q --force-rm", ask.BuildOptions{}},
	} {
		u.Env["HERE"], u.Env["DOCKER_DEFAULT_PLATFORM"] = "yes", "linux/amd64"
		code, _, errs := u.Run(tt.line)
		if code != 0 {
			t.Fatalf("stack %s: code %d: %s", tt.line, code, errs)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", tt.line, diff)
		}
		if project.Services["web"].Platform != "linux/amd64" {
			t.Errorf("DOCKER_DEFAULT_PLATFORM is not heard: %q", project.Services["web"].Platform)
		}
		if quiet := strings.Contains(tt.line, "-q"); quiet == strings.Contains(errs, "[web 1/2] | half a line\n") || quiet == strings.Contains(errs, "[web 1/2] | and\n") || quiet != strings.Contains(errs, "--force-rm has no effect") {
			t.Errorf("stack %s says\n%s", tt.line, errs)
		}
		if !strings.Contains(errs, "sbom: no attestations are made") {
			t.Errorf("stack %s does not tell what has no effect:\n%s", tt.line, errs)
		}
	}
}

// TestSourcesInGit: they are fetched when there is something to build, and only then; one that cannot be fetched is a fault at its line.
func TestSourcesInGit(t *testing.T) {
	found := &ask.Preview{}
	ups := 0
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnPlan: func(context.Context, *spec.Project, ask.UpOptions) (*ask.Preview, error) {
			return found, nil
		},
		OnUp: func(_ context.Context, p *spec.Project, _ ask.UpOptions, _ event.Sink) error {
			ups++
			return nil
		},
	})
	u.Env["HOME"] = u.Dir
	u.Write("compose.yaml", "services:\n  web:\n    build:\n      context: https://127.0.0.1:1/x.tar.gz\n  db: {image: db}\n")
	if code, _, errs := u.Run("up -d"); code != 0 || ups != 1 {
		t.Fatalf("nothing to build: code %d, %s", code, errs)
	}
	found.Changes = append(found.Changes, plan.Change{ID: plan.ID{Kind: plan.KindImage, Name: "shop-web"}, Name: "shop-web", Action: plan.Make})
	if code, _, errs := u.Run("up -d"); code != 1 || ups != 1 || !strings.Contains(errs, "compose.yaml:4:16") || !strings.Contains(errs, "the URL of a repository must end with .git") {
		t.Errorf("code %d, %s", code, errs)
	}
	if code, _, errs := u.Run("build"); code != 1 || !strings.Contains(errs, "must end with .git") {
		t.Errorf("build: code %d, %s", code, errs)
	}
}

// TestBuildHasTheUsers: what a build has of the user's is there when the engine is asked for it: the directory of its cache, made by the user, and the agent's socket. An up that builds nothing makes none.
func TestBuildHasTheUsers(t *testing.T) {
	found := &ask.Preview{}
	var seen []string
	u := stacktest.NewPerson(t, &apitest.Engine{
		OnPlan: func(context.Context, *spec.Project, ask.UpOptions) (*ask.Preview, error) { return found, nil },
		OnUp:   func(context.Context, *spec.Project, ask.UpOptions, event.Sink) error { return nil },
		OnBuild: func(_ context.Context, p *spec.Project, _ ask.BuildOptions, _ event.Sink) error {
			seen = nil
			for _, k := range p.Services["web"].Build.SSH {
				seen = append(seen, k.ID+"="+k.Path)
			}
			return nil
		},
	})
	u.Env["SSH_AUTH_SOCK"] = "/run/agent"
	u.Write("compose.yaml", "services:\n  web:\n    build: {context: ., ssh: [default, other=/run/other], cache_to: [\"type=local,dest=kept/cache\"]}\n")
	dir := filepath.Join(u.Dir, "kept/cache")
	if code, _, errs := u.Run("up -d"); code != 0 {
		t.Fatal(errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("an up that builds nothing has made the directory of a cache")
	}
	for line, want := range map[string]string{"build": "default=/run/agent other=/run/other", "build --ssh default --ssh mine=/m": "default=/run/agent mine=/m"} {
		if code, _, errs := u.Run(line); code != 0 || strings.Join(seen, " ") != want {
			t.Errorf("stack %s: code %d, agents %q, expected %q: %s", line, code, seen, want, errs)
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Error(err)
	}
}
