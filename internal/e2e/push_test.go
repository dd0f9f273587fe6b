package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/stackrun/stack/internal/registry"
)

// pushed is the image that another client sees under ref, whole.
func pushed(t *testing.T, ref string, o ...remote.Option) v1.Image {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r, o...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	return img
}

// TestPush: what is built here is pushed by the file's names, and another host pulls and runs it; what has no name or no build is left; again nothing is
// sent; a failure is told and, if asked for, is none.
func TestPush(t *testing.T) {
	to := registry.Empty(t, "", "")
	p := newBuilds(t, "push", map[string]string{
		"compose.yaml": "services:\n" +
			"  web:\n    image: " + to.Host + "/shop/web:1\n    build: {context: app, args: {GREETING: all}, tags: [\"" + to.Host + "/shop/web:latest\"]}\n    init: true\n    depends_on: [db]\n" +
			"  unnamed:\n    build: {context: app}\n" +
			"  db:\n    image: " + to.Host + "/shop/db:1\n    build: {dockerfile_inline: \"FROM busybox\\nRUN echo d >/d\\n\"}\n" +
			"  cache: {image: busybox}\n",
		"app/Dockerfile": small,
		"app/page":       "the page\n",
	})
	t.Cleanup(func() { p.run("--project-name", "push", "down", "--rmi", "all") })
	if r := p.run("push", "web"); r.code != 1 || !strings.Contains(r.stderr, "cannot push "+to.Host+"/shop/web:1") || !strings.Contains(r.stderr, "`stack build web` builds it") || !strings.Contains(r.stderr, "compose.yaml:3:") {
		t.Errorf("push of what is not built: %s", r)
	}
	if r := p.run("push", "--ignore-push-failures", "web"); r.code != 0 || !strings.Contains(r.stderr, "Not pushed") {
		t.Errorf("push --ignore-push-failures: %s", r)
	}
	r := p.run("build", "--push", "web")
	if r.code != 0 {
		t.Fatal(r)
	}
	contains(t, "build --push", r.stderr, "Image "+to.Host+"/shop/web:1  Pushed", "Image "+to.Host+"/shop/web:latest  Pushed")
	one, latest := pushed(t, to.Host+"/shop/web:1"), pushed(t, to.Host+"/shop/web:latest")
	digest, err := one.Digest()
	if other, err2 := latest.Digest(); err != nil || err2 != nil || other != digest {
		t.Errorf("the two names are %s and %s: %v, %v", digest, other, err, err2)
	}
	if r := p.run("build", "-q", "unnamed", "db"); r.code != 0 {
		t.Fatal(r)
	}
	r = p.run("push")
	if r.code != 0 {
		t.Fatal(r)
	}
	contains(t, "push", r.stderr, "/shop/db:1  Pushed", "/shop/web:1  Pushed", "Image push-unnamed  Skipped", "services.unnamed.image gives it one", "Image busybox  Skipped")
	pushed(t, to.Host+"/shop/db:1")
	uploads := to.Count("POST", "/uploads/")
	if r := p.run("push", "--include-deps", "-q", "web"); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("push -q: %s", r)
	}
	if n := to.Count("POST", "/uploads/"); n != uploads {
		t.Errorf("%d blobs are sent again", n-uploads)
	}
	if r := p.run("push", "nothing"); r.code == 0 || !strings.Contains(r.stderr, "nothing") {
		t.Errorf("push of no service: %s", r)
	}

	// Another host. The builder of the first one keeps nothing ready meanwhile.
	p.run("gc", "--check")
	other := ownHost(t)
	other.env = append(other.env, "STACK_IDLE=1s")
	q := &project{t: t, host: other, name: "pushed", dir: filepath.Join(t.TempDir(), "pushed")}
	write(t, filepath.Join(q.dir, "compose.yaml"), "services:\n  web: {image: \""+to.Host+"/shop/web@"+digest.String()+"\", init: true}\n")
	q.up()
	q.logged("web", "all", "the page")
	q.takeDownWholly()
}

// TestPushCredentials: a push shows what docker login has stored; without, the user is told what to do.
func TestPushCredentials(t *testing.T) {
	to := registry.Empty(t, "somebody", "secret word")
	h := ownHost(t)
	login := t.TempDir()
	h.env = append(h.env, "STACK_IDLE=1s", "DOCKER_CONFIG="+login)
	p := &project{t: t, host: h, name: "cred", dir: filepath.Join(t.TempDir(), "cred")}
	write(t, filepath.Join(p.dir, "compose.yaml"), "services:\n  web: {image: \""+to.Host+"/web\", build: {dockerfile_inline: \"FROM busybox\"}}\n")
	r := p.run("build", "--push")
	if r.code != 1 || !strings.Contains(r.stderr, "refuses access (401") || !strings.Contains(r.stderr, "docker login "+to.Host) {
		t.Errorf("without credentials: %s", r)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("somebody:secret word"))
	if err := os.WriteFile(filepath.Join(login, "config.json"), []byte(`{"auths":{"`+to.Host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := p.run("push"); r.code != 0 {
		t.Fatal(r)
	}
	pushed(t, to.Host+"/web", remote.WithAuth(&authn.Basic{Username: "somebody", Password: "secret word"}))
}

// TestCommit: what a container has written becomes an image, with what the file and --change say; what is mounted, and what only a container has, does not.
func TestCommit(t *testing.T) {
	p := newProject(t, theHost(t), "commit", map[string]string{"compose.yaml": `
services:
  app:
    image: busybox
    init: true
    command: [sh, -c, "echo made >/made; mkdir /d; echo x >/d/x; rm /bin/vi; echo data >/data/f; sleep infinity"]
    environment: {MODE: trial}
    labels: {shop.team: blue}
    user: "0"
    volumes: [data:/data]
    healthcheck: {test: [CMD, test, -e, /data/f]}
  again:
    image: ours:1
    profiles: [second]
    pull_policy: never
    init: true
    command: [sleep, infinity]
    healthcheck: {disable: true}
volumes: {data: {}}
`})
	p.up("--wait")
	t.Cleanup(func() {
		p.run("--project-name", "commit", "--profile", "second", "down", "--rmi", "all", "--timeout", "0")
	})
	before := p.ids()
	r := p.run("commit", "--author", "A <a@b>", "--message", "as it was", "--change", `CMD ["cat", "/made"]`, "--change", "ENV FURTHER=1", "app", "ours:1")
	if r.code != 0 || !strings.HasPrefix(r.stdout, "sha256:") {
		t.Fatal(r)
	}
	if r := p.run("exec", "-T", "app", "true"); r.code != 0 {
		t.Errorf("the container goes on: %s", r)
	}
	if now := p.ids(); now["commit-app-1"] != before["commit-app-1"] {
		t.Error("the container was made anew")
	}
	p.up("--no-deps", "again")
	r = p.run("exec", "-T", "again", "sh", "-c", "cat /made /d/x; ls /bin/vi; ls -A /data; echo $MODE $FURTHER; ls -A /")
	contains(t, "in the image", r.stdout, "made\nx\n", "trial 1\n")
	contains(t, "in the image", r.stderr, "/bin/vi: No such file")
	if strings.Contains(r.stdout, "\nf\n") {
		t.Errorf("a volume's file is in the image: %s", r)
	}
	for _, c := range []struct{ args, says string }{
		{"commit", "commit needs one service"},
		{"commit nothing ours:2", "no such service: nothing"},
		{"commit app BAD", "lower case"},
		{"commit --change RUN\u00a0x app ours:2", "expected one of CMD"},
		{"commit --index 7 app", "with index 7"},
	} {
		args := strings.Split(c.args, " ")
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "\u00a0", " ")
		}
		if r := p.run(args...); r.code == 0 || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%s: %s", c.args, r)
		}
	}
}
