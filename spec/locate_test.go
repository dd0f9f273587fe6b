package spec_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/spec"
)

func TestLocate(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	fsys := fstest.MapFS{
		"p/compose.yaml":          file("services: {}"),
		"p/docker-compose.yml":    file("services: {}"),
		"p/compose.override.yml":  file("services: {}"),
		"p/compose.override.yaml": file("services: {}"),
		"p/.env":                  file("A=p\nP=p\nCOMPOSE_PROFILES=x, y\n"),
		"p/sub/.env":              file("A=sub\nS=sub\n"),
		"p/extra.env":             file("A=extra\nX=${A}\n"),
		"p/second.env":            file("A=second\n"),
		"q/dev/a.yaml":            file("services: {}"),
		"q/dev/b.yaml":            file("services: {}"),
		"q/dev/.env":              file("A=dev\nCOMPOSE_PROJECT_NAME=fromenv\n"),
		"q/.env":                  file("COMPOSE_FILE=dev/a.yaml:dev/b.yaml\nQ=q\n"),
		"bad/.env":                file("A B=1\n"),
		"bad/compose.yaml":        file("services: {}"),
		"empty/nothing":           file(""),
	}
	for _, c := range []struct {
		name  string
		r     spec.Request
		files string
		dir   string
		env   map[string]string // a selection
		pname string
		prof  string
		fault string
	}{
		{name: "default with override", r: spec.Request{Cwd: "/p"}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": "p", "PWD": "/p"}, prof: "x y"},
		{name: "upwards, cwd's .env first", r: spec.Request{Cwd: "/p/sub"}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": "sub", "S": "sub", "P": "p"}, prof: "x y"},
		{name: "process wins over .env", r: spec.Request{Cwd: "/p", Process: map[string]string{"A": "os", "COMPOSE_PROFILES": "z"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": "os"}, prof: "z"},
		{name: "-f takes no override, and only its own .env", r: spec.Request{Cwd: "/q", Files: []string{"dev/a.yaml"}}, files: "/q/dev/a.yaml", dir: "/q/dev", env: map[string]string{"A": "dev", "Q": ""}, pname: "fromenv"},
		{name: "COMPOSE_FILE of .env", r: spec.Request{Cwd: "/q"}, files: "/q/dev/a.yaml /q/dev/b.yaml", dir: "/q/dev", env: map[string]string{"Q": "q", "A": "dev"}, pname: "fromenv"},
		{name: "separator", r: spec.Request{Cwd: "/q", Process: map[string]string{"COMPOSE_FILE": "dev/b.yaml,dev/a.yaml", "COMPOSE_PATH_SEPARATOR": ","}}, files: "/q/dev/b.yaml /q/dev/a.yaml", dir: "/q/dev", pname: "fromenv"},
		{name: "--env-file, later wins", r: spec.Request{Cwd: "/p", EnvFiles: []string{"extra.env", "second.env"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": "second", "X": "extra", "P": ""}},
		{name: "COMPOSE_ENV_FILES", r: spec.Request{Cwd: "/p", Process: map[string]string{"COMPOSE_ENV_FILES": "extra.env"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": "extra", "P": ""}},
		{name: ".env switched off", r: spec.Request{Cwd: "/p", Process: map[string]string{"COMPOSE_DISABLE_ENV_FILE": "1"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", env: map[string]string{"A": ""}},
		{name: "--project-directory", r: spec.Request{Cwd: "/q", Files: []string{"dev/a.yaml"}, ProjectDir: "/p"}, files: "/q/dev/a.yaml", dir: "/p", env: map[string]string{"A": "p"}, prof: "x y"},
		{name: "-p wins", r: spec.Request{Cwd: "/q", Files: []string{"dev/a.yaml"}, Name: "mine"}, files: "/q/dev/a.yaml", dir: "/q/dev", pname: "mine"},
		{name: "stdin", r: spec.Request{Cwd: "/q", Files: []string{"-"}}, files: "-", dir: "/q"},
		{name: "--profile replaces", r: spec.Request{Cwd: "/p", Profiles: []string{"only"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", prof: "only"},
		{name: "bad name", r: spec.Request{Cwd: "/p", Name: "Bad"}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", pname: "Bad", prof: "x y", fault: `invalid project name "Bad"`},
		{name: "bad .env", r: spec.Request{Cwd: "/bad"}, files: "/bad/compose.yaml", dir: "/bad", fault: `/bad/.env:1:1: invalid env file: unexpected character ' '`},
		{name: "missing --env-file", r: spec.Request{Cwd: "/p", EnvFiles: []string{"no.env"}}, files: "/p/compose.yaml /p/compose.override.yml", dir: "/p", fault: "/p/no.env: cannot read file: no such file"},
		{name: "remote -f", r: spec.Request{Cwd: "/p", Files: []string{"https://me:pw@host/x.git"}}, files: "", dir: "/p", prof: "x y", fault: "https://me:(hidden)@host/x.git: not supported: remote references are not fetched here"},
		{name: "nothing", r: spec.Request{Cwd: "/empty"}, dir: "/empty", fault: "no configuration file provided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc, list := spec.Locate(t.Context(), fsys, c.r)
			if got := strings.Join(loc.Files, " "); got != c.files {
				t.Errorf("files %q, expected %q", got, c.files)
			}
			if loc.Dir != c.dir || loc.Name != c.pname || strings.Join(loc.Profiles, " ") != c.prof {
				t.Errorf("dir %q, name %q, profiles %v; expected %q, %q, %q", loc.Dir, loc.Name, loc.Profiles, c.dir, c.pname, c.prof)
			}
			for k, v := range c.env {
				if loc.Env[k] != v {
					t.Errorf("%s=%q, expected %q", k, loc.Env[k], v)
				}
			}
			fault := ""
			if err := list.Err(); err != nil {
				fault = err.Error()
			}
			if c.fault == "" && fault != "" || !strings.Contains(fault, c.fault) {
				t.Errorf("fault %q, expected %q", fault, c.fault)
			}
		})
	}
}

func TestProjectName(t *testing.T) {
	for in, want := range map[string]string{"My Proj": "myproj", "A.B": "ab", "_x": "x", "--": "", "a-b_c1": "a-b_c1", "é": ""} {
		if got := spec.NormalName(in); got != want {
			t.Errorf("NormalName(%q) = %q, expected %q", in, got, want)
		}
	}
	p, list := spec.Load(t.Context(), spec.Input{FS: fstest.MapFS{"My.Dir/c.yaml": {Data: []byte("services: {a: {image: x}}")}, "My.Dir/d.yaml": {Data: []byte("name: ${N:-From File}\nservices: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")}}, Files: []string{"/My.Dir/c.yaml"}, Dir: "/My.Dir"})
	if p == nil || p.Name != "mydir" {
		t.Errorf("%v %v, expected the directory's name", p, list)
	}
	p, list = spec.Load(t.Context(), spec.Input{FS: fstest.MapFS{"c.yaml": {Data: []byte("name: ${N:-From File}\nservices: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")}}, Files: []string{"/c.yaml"}, Dir: "/srv"})
	if p == nil || p.Name != "fromfile" || p.Services["a"].Labels["n"] != "fromfile" {
		t.Errorf("%v %v, expected the file's name, and in the label too", p, list)
	}
}

// TestSources: a place names the file whose value won, through merge and short forms.
func TestSources(t *testing.T) {
	fsys := fstest.MapFS{
		"a.yaml": {Data: []byte("services:\n  web:\n    image: nginx\n    environment: [A=1, B=2]\n    ports: [\"80-81:80-81\"]\n")},
		"b.yaml": {Data: []byte("services:\n  web:\n    environment: {B: 3}\n    ports: [\"90:90\"]\n")},
	}
	p, list := spec.Load(t.Context(), spec.Input{FS: fsys, Files: []string{"/a.yaml", "/b.yaml"}, Dir: "/", Name: "x"})
	if p == nil {
		t.Fatal(list.Err())
	}
	got := map[string]string{}
	for _, path := range []spec.Path{"services.web.image", "services.web.environment.A", "services.web.environment.B", "services.web.ports[0]", "services.web.ports[1]", "services.web.ports[2]", "services.web.nothing.here"} {
		if r := p.Sources.At(path); r != nil {
			got[string(path)] = r.Start.String()
		}
	}
	want := map[string]string{
		"services.web.image": "/a.yaml:3:12", "services.web.environment.A": "/a.yaml:4:19", "services.web.environment.B": "/b.yaml:3:22",
		"services.web.ports[0]": "/a.yaml:5:13", "services.web.ports[1]": "/a.yaml:5:13", "services.web.ports[2]": "/b.yaml:4:13",
		"services.web.nothing.here": "/a.yaml:2:3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}
