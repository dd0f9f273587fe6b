package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gitServer serves a repository with files, one commit, over http on loopback, and returns its URL.
func gitServer(t *testing.T, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "shop.git")
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", "-A")
	git("commit", "--quiet", "-m", "x")
	backend := &cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + top, "GIT_HTTP_EXPORT_ALL=1"},
		Stderr: io.Discard, Logger: log.New(io.Discard, "", 0), InheritEnv: []string{"PATH"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.Replace(r.URL.Path, "/shop.git", "/shop.git/.git", 1)
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/shop.git"
}

// TestRemoteFile: a project of a file in git, with one of the user's own over it, is named after the user's directory, runs with the files that came
// with it, and every verb finds it by the same -f.
func TestRemoteFile(t *testing.T) {
	url := gitServer(t, map[string]string{
		"deploy/compose.yaml": "services:\n  web:\n    image: busybox\n    init: true\n    command: sleep 1000\n    env_file: [vars.env]\n    volumes: [\"./page:/page:ro\"]\n",
		"deploy/vars.env":     "FROM=${OWN:-git}\n", "deploy/page": "from the repository", "deploy/.env": "OWN=theirs\n",
	})
	p := newProject(t, theHost(t), "ours", map[string]string{"over.yaml": "services: {web: {hostname: mine}}\n", ".env": "OWN=ours\n"})
	ref := url + "#main:deploy"
	p.ok("-f", ref, "-f", "over.yaml", "up", "--detach", "--wait")
	equal(t, "containers", p.ok("-f", ref, "ps", "--format", "{{.Name}}"), "ours-web-1\n")
	equal(t, "inside", p.ok("-f", ref, "exec", "-T", "web", "sh", "-c", "cat /page; echo ' '$FROM $(hostname)"), "from the repository ours mine\n")
	equal(t, "what an up finds to do", p.ok("-f", ref, "-f", "over.yaml", "plan"), "ours: nothing to do\n")
	p.ok("-f", ref, "down", "--timeout", "0")
	p.fails(1, []string{url + "#nowhere: error: cannot fetch", "has no branch or tag nowhere"}, "-f", url+"#nowhere", "up", "--detach")
}
