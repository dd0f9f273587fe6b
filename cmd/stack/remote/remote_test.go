package remote_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/stackrun/stack/cmd/stack/remote"
	"github.com/stackrun/stack/cmd/stack/remote/artifact"
	"github.com/stackrun/stack/spec"
)

// repository is a git repository that is served over http on loopback.
type repository struct {
	t    *testing.T
	dir  string
	url  string
	hits int // requests so far
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	top := t.TempDir()
	r := &repository{t: t, dir: filepath.Join(top, "shop.git")}
	r.git("init", "--quiet", "--initial-branch=main", r.dir)
	where, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(where)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + top, "GIT_HTTP_EXPORT_ALL=1"},
		Stderr: io.Discard, Logger: log.New(io.Discard, "", 0), InheritEnv: []string{"PATH"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits++
		req.URL.Path = strings.Replace(req.URL.Path, "/shop.git", "/shop.git/.git", 1)
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL + "/shop.git"
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	if args[0] != "init" {
		cmd.Dir = r.dir
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits files, by name and content; a content that starts with -> is a link.
func (r *repository) commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		file := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			r.t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(to, file)
		} else {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "--quiet", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

func fetcher(t *testing.T) *remote.Fetcher {
	t.Helper()
	f := remote.New(map[string]string{"PATH": os.Getenv("PATH"), "XDG_CACHE_HOME": t.TempDir(), "HOME": t.TempDir(), "GIT_CONFIG_NOSYSTEM": "1"})
	f.Artifact = artifact.Fetch
	return f
}

// load loads text as the Compose file of a project, with f for what is remote.
func load(t *testing.T, f *remote.Fetcher, text string) (*spec.Project, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, list := spec.Load(t.Context(), spec.Input{FS: os.DirFS("/"), Files: []string{file}, Dir: dir, Remote: f, Env: map[string]string{}})
	return p, strings.ReplaceAll(fmt.Sprint(list.Err()), dir+"/", "")
}

const base = "services:\n  base:\n    image: busybox:${TAG:-1}\n    env_file: [vars.env]\n"

func TestGit(t *testing.T) {
	r := newRepository(t)
	first := r.commit(map[string]string{"compose.yaml": base, "vars.env": "A=first\n", ".env": "TAG=7\n", "deep/docker-compose.yml": strings.ReplaceAll(base, "base", "deep"), "deep/vars.env": "A=deep\n"})
	r.git("tag", "-a", "v1", "-m", "v1")
	r.git("branch", "old")
	second := r.commit(map[string]string{"vars.env": "A=second\n"})
	f := fetcher(t)
	for ref, want := range map[string]string{"": "second", "#old": "first", "#v1": "first", "#refs/heads/main": "second", "#" + first: "first", "#:deep": "deep", "#old:deep/docker-compose.yml": "deep", "?branch=old&subdir=deep": "deep", "?tag=v1": "first"} {
		p, fault := load(t, f, "include: ['"+r.url+ref+"']\nservices: {web: {image: x}}")
		if p == nil {
			t.Errorf("%q: %s", ref, fault)
			continue
		}
		name := "base"
		if want == "deep" {
			name = "deep"
		}
		if s := p.Services[name]; s == nil || s.Environment["A"] != want {
			t.Errorf("%q: %+v", ref, p.Services)
		}
	}
	// The .env beside an included file gives its defaults.
	if p, fault := load(t, f, "include: ['"+r.url+"']\n"); p == nil || p.Services["base"].Image != "busybox:7" {
		t.Errorf("include: %s", fault)
	}
	p, fault := load(t, f, "services: {web: {extends: {file: '"+r.url+"#old', service: base}, image: mine}}")
	if p == nil || p.Services["web"].Environment["A"] != "first" || p.Services["web"].Image != "mine" {
		t.Errorf("extends: %s", fault)
	}
	if at := p.Sources.At("services.web.env_file"); at == nil || !strings.HasPrefix(at.Start.File, f.Cache+"/git/"+first) || at.Start.Line != 4 {
		t.Errorf("a value of a remote file is at %v", at)
	}

	off := &remote.Fetcher{Cache: f.Cache, Env: map[string]string{"COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false"}}
	if p, fault := load(t, off, "include: ['"+r.url+"']\n"); p != nil || !strings.Contains(fault, "turns git references off") {
		t.Errorf("turned off: %s", fault)
	}

	// A commit that is in the cache is not asked for.
	hits := r.hits
	again := &remote.Fetcher{Cache: f.Cache, Env: f.Env}
	if p, fault := load(t, again, "include: ['"+r.url+"#"+second+"']\n"); p == nil || r.hits != hits {
		t.Errorf("%d requests for a commit that is there: %s", r.hits-hits, fault)
	}
	if left, _ := filepath.Glob(f.Cache + "/git/.new-*"); left != nil {
		t.Errorf("left over: %v", left)
	}
}

// TestGitRefuses: each has its place, and nothing is written outside of the cache.
func TestGitRefuses(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{"compose.yaml": base, "vars.env": ""})
	r.git("checkout", "--quiet", "-b", "link")
	r.commit(map[string]string{"vars": "->/etc/passwd"})
	r.git("checkout", "--quiet", "main")
	r.git("checkout", "--quiet", "-b", "up")
	r.commit(map[string]string{"compose.yaml": "include: [../../../other.yaml]\nservices: {a: {image: x}}\n"})
	r.git("checkout", "--quiet", "-b", "env")
	r.commit(map[string]string{"compose.yaml": "services: {a: {image: x, env_file: [/etc/hostname]}}\n"})
	r.git("checkout", "--quiet", "-b", "bad")
	r.commit(map[string]string{"compose.yaml": "services:\n  a:\n    imgae: x\n"})
	for ref, want := range map[string]string{
		r.url + "#:../..":                    `compose.yaml:1:11: cannot fetch: ` + r.url + `#:../..: the path "../.." leaves the repository`,
		r.url + "#:/etc":                     "leaves the repository",
		r.url + "#:nothing":                  "no such file",
		r.url + "#nowhere":                   "has no branch or tag nowhere",
		r.url + "#--upload-pack=x":           "starts with -",
		r.url + "?depth=1":                   `the option "depth" is not known`,
		r.url + "#link":                      "its vars is a link out of the repository",
		r.url + "#up":                        "compose.yaml:1:11: not supported: include: ",
		r.url + "#env":                       "env file: /etc/hostname is outside of what was fetched",
		r.url + "#bad":                       `compose.yaml:3:5: unknown key: "imgae"`,
		strings.TrimSuffix(r.url, ".git"):    "must end with .git",
		"ext::sh -c true://x":                "not fetched",
		"file://" + r.dir:                    "file:// is not fetched",
		"http://127.0.0.1:1/x.git":           "cannot ask http://127.0.0.1:1/x.git",
		"http://me:s3cret@127.0.0.1:1/x.git": "cannot ask http://127.0.0.1:1/x.git",
		"https:///x.git":                     "it names no host",
		"git@no host:x":                      "",
		"oci://127.0.0.1:1/a/b":              "connection refused",
		"oci://127.0.0.1:1/A:b:c":            "it is not REGISTRY/REPOSITORY",
	} {
		f := fetcher(t)
		p, fault := load(t, f, "include: ['"+ref+"']\nservices: {a: {image: x}}")
		if p != nil || !strings.Contains(fault, want) {
			t.Errorf("%s: %s, expected %q", ref, fault, want)
		}
		if strings.Contains(fault, "s3cret") {
			t.Errorf("%s: the fault shows the password: %s", ref, fault)
		}
		onlyIn(t, f)
	}
}

// onlyIn shows that beside the cache nothing was written in the user's directories.
func onlyIn(t *testing.T, f *remote.Fetcher) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(f.Cache), f.Env["HOME"]} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if name == f.Cache {
				return filepath.SkipDir
			}
			if err == nil && name != dir {
				t.Errorf("%s was written", name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestNoOneAnswers: a repository that never answers ends with the caller's context.
func TestNoOneAnswers(t *testing.T) {
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	defer close(hold)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := fetcher(t).Fetch(ctx, server.URL+"/x.git"); err == nil {
		t.Error("nobody answers, and it was fetched")
	}
}

// part is a file of an artifact.
type part struct{ mediaType, text, note, name string }

// publish puts an artifact as docker compose publish does, and gives its reference.
func publish(t *testing.T, server *httptest.Server, repo string, artifactType string, parts ...part) string {
	t.Helper()
	put := func(method, url, mediaType string, body []byte) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %s", method, url, resp.Status)
		}
		return resp
	}
	blob := func(text string) map[string]any {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		put("POST", server.URL+"/v2/"+repo+"/blobs/uploads/?digest="+digest, "application/octet-stream", []byte(text))
		return map[string]any{"digest": digest, "size": len(text)}
	}
	config := blob("{}")
	config["mediaType"] = "application/vnd.oci.empty.v1+json"
	if artifactType == "" {
		config["mediaType"] = "application/vnd.docker.compose.config.empty.v1+json"
	}
	layers := []any{}
	for _, p := range parts {
		l := blob(p.text)
		l["mediaType"] = p.mediaType
		l["annotations"] = map[string]string{p.note: p.name, "com.docker.compose.version": "5"}
		if strings.HasPrefix(p.note, "com.docker.compose.extends") {
			l["annotations"] = map[string]string{"com.docker.compose.extends": "true", "com.docker.compose.file": p.name}
		}
		layers = append(layers, l)
	}
	manifest := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}
	if artifactType != "" {
		manifest["artifactType"] = artifactType
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	put("PUT", server.URL+"/v2/"+repo+"/manifests/1", "application/vnd.oci.image.manifest.v1+json", text)
	return "oci://" + strings.TrimPrefix(server.URL, "http://") + "/" + repo + ":1"
}

const (
	project = "application/vnd.docker.compose.project"
	yaml    = "application/vnd.docker.compose.file+yaml"
	env     = "application/vnd.docker.compose.envfile"
	file    = "com.docker.compose.file"
	envFile = "com.docker.compose.envfile"
	extends = "com.docker.compose.extends"
)

func TestOCI(t *testing.T) {
	hits := 0
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { hits++; store.ServeHTTP(w, req) }))
	defer server.Close()
	whole := []part{
		{yaml, "services: {web: {image: x, env_file: [a.env], extends: {file: part.yaml, service: p}}}\n", file, "compose.yaml"},
		{yaml, "services: {web: {image: y}}\n", file, "compose.override.yaml"},
		{yaml, "services: {p: {user: root}}\n", extends, "part.yaml"},
		{env, "A=1\n", envFile, "a.env"},
	}
	f := fetcher(t)
	for _, artifactType := range []string{project, ""} {
		ref := publish(t, server, "team/app"+fmt.Sprint(len(artifactType)), artifactType, whole...)
		p, fault := load(t, f, "include: ['"+ref+"']\n")
		if p == nil {
			t.Fatalf("%q: %s", artifactType, fault)
		}
		if s := p.Services["web"]; s.Image != "y" || s.Environment["A"] != "1" || s.User != "root" {
			t.Errorf("%q: %+v", artifactType, s)
		}
	}
	onlyIn(t, f)

	for name, parts := range map[string][]part{
		`called "../../x"`:     {{yaml, "services: {}", extends, "../../x"}},
		`called ".."`:          {{env, "A=1", envFile, ".."}},
		`called ""`:            {{env, "A=1", "", ""}},
		"the limit is 4194304": {{yaml, strings.Repeat("#", 5<<20), file, "compose.yaml"}},
		"it has no compose":    {{env, "A=1", envFile, "a.env"}},
	} {
		p, fault := load(t, f, "include: ['"+publish(t, server, fmt.Sprintf("bad/%x", sha256.Sum256([]byte(name))), project, parts...)+"']\n")
		if p != nil || !strings.Contains(fault, name) || !strings.HasPrefix(fault, "compose.yaml:1:11: cannot fetch: ") {
			t.Errorf("%s: %s", name, fault)
		}
	}
	if _, fault := load(t, f, "include: ['"+publish(t, server, "an/image", "application/x", whole...)+"']\n"); !strings.Contains(fault, `no Compose project but "application/x"`) {
		t.Errorf("another artifact: %s", fault)
	}
	if _, fault := load(t, f, "include: ['oci://"+strings.TrimPrefix(server.URL, "http://")+"/no/such']\n"); !strings.Contains(fault, "the registry has no such artifact") {
		t.Errorf("no artifact: %s", fault)
	}
	onlyIn(t, f)
	if left, _ := filepath.Glob(f.Cache + "/oci/.new-*"); left != nil {
		t.Errorf("left over: %v", left)
	}
}

// TestFilesOfTheCommandLine: a remote file may be the project's own, first or later. Paths are relative to it, it reads nothing beside what came with it,
// and neither name nor variables of the project come from the cache.
func TestFilesOfTheCommandLine(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{"deep/compose.yaml": base + "    volumes: [./data:/data]\n", "deep/vars.env": "A=git\n", "deep/.env": "TAG=7\nCOMPOSE_PROFILES=x\n", "out/compose.yaml": "services: {a: {image: x, env_file: [/etc/hostname]}}\n"})
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	published := publish(t, server, "team/app", project, part{yaml, "services: {base: {image: published, env_file: [a.env]}}\n", file, "compose.yaml"}, part{env, "A=oci\n", envFile, "a.env"})
	dir := filepath.Join(t.TempDir(), "mine")
	for name, text := range map[string]string{"over.yaml": "services: {base: {user: me}}\n", ".env": "TAG=own\n"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, image, a, user, volume string
		request                      spec.Request
		fault                        string
	}{
		{"git", "busybox:own", "git", "", "/deep/data", spec.Request{Files: []string{r.url + "#:deep"}}, ""},
		{"oci", "published", "oci", "", "", spec.Request{Files: []string{published}}, ""},
		{"a file of one's own over it", "busybox:own", "git", "me", "/deep/data", spec.Request{Files: []string{r.url + "#:deep", "over.yaml"}}, ""},
		{"over a file of one's own", "published", "oci", "me", "", spec.Request{Files: []string{"over.yaml", published}}, ""},
		{"COMPOSE_FILE", "published", "oci", "me", "", spec.Request{Process: map[string]string{"COMPOSE_FILE": "over.yaml," + published, "COMPOSE_PATH_SEPARATOR": ","}}, ""},
		{"a directory of one's own", "", "", "", "", spec.Request{Files: []string{r.url + "#:deep"}, ProjectDir: dir}, "vars.env is outside of what was fetched"},
		{"COMPOSE_FILE with colons", "", "", "", "", spec.Request{Process: map[string]string{"COMPOSE_FILE": published}}, "COMPOSE_FILE: invalid value: a list with ':'"},
		{"a file beside it", "", "", "", "", spec.Request{Files: []string{r.url + "#:out"}}, "env file: /etc/hostname is outside of what was fetched"},
		{"none there", "", "", "", "", spec.Request{Files: []string{r.url + "#nowhere"}}, r.url + "#nowhere: cannot fetch: "},
	} {
		f := fetcher(t)
		tt.request.Cwd, tt.request.Remote = dir, f
		loc, list := spec.Locate(t.Context(), os.DirFS("/"), tt.request)
		var p *spec.Project
		if !list.HasErrors() {
			in := loc.Input(os.DirFS("/"))
			in.Remote = f
			p, list = spec.Load(t.Context(), in)
		}
		if tt.fault != "" {
			if p != nil || !strings.Contains(fmt.Sprint(list.Err()), tt.fault) {
				t.Errorf("%s: %v, expected %q", tt.name, list.Err(), tt.fault)
			}
			continue
		}
		if p == nil {
			t.Errorf("%s: %v", tt.name, list.Err())
			continue
		}
		s := p.Services["base"]
		if p.Name != "mine" || s.Image != tt.image || s.Environment["A"] != tt.a || s.User != tt.user {
			t.Errorf("%s: project %s, %+v", tt.name, p.Name, s)
		}
		if tt.volume != "" && (len(s.Mounts) != 1 || !strings.HasPrefix(s.Mounts[0].Source, f.Cache) || !strings.HasSuffix(s.Mounts[0].Source, tt.volume)) {
			t.Errorf("%s: mounts %+v", tt.name, s.Mounts)
		}
	}
}
