package file_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/registry"
)

// served are random images by name in a registry on loopback: their digests, and the registry's handler.
func served(t *testing.T, names ...string) (map[string]string, *registry.Handler) {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, name := range names {
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": name})); err != nil {
			t.Fatal(err)
		}
		h, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[name] = h.String()
	}
	h, err := registry.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return digests, h
}

// TestConfigDigests: tags become digests, as the mirrors of the configuration and the registries that want credentials have them; what
// is written to be given to -f pins the same project; every image that is not there is told at its place; no daemon is started.
func TestConfigDigests(t *testing.T) {
	public, mirror := served(t, "library/nginx:1", "library/busybox:latest")
	private, handler := served(t, "team/api:2")
	m := httptest.NewServer(mirror)
	defer m.Close()
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="team"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	defer closed.Close()
	host := strings.TrimPrefix(closed.URL, "http://")

	u := stacktest.NewPerson(t, nil)
	auth := t.TempDir()
	t.Setenv("DOCKER_CONFIG", auth)
	login := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:secret")))
	if err := os.WriteFile(filepath.Join(auth, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	u.Write("config.yaml", "registries:\n  mirrors:\n    docker.io: ["+m.URL+"]\n")
	u.Env["STACK_CONFIG"] = filepath.Join(u.Dir, "config.yaml")
	fixed := "docker.io/library/redis@sha256:" + strings.Repeat("a", 64)
	u.Write("compose.yaml", fmt.Sprintf(`services:
  web:
    image: nginx:1
    labels: {a: b}
    pre_start:
      - {image: busybox, command: "true"}
  api: {image: "%s/team/api:2"}
  db: {image: "%s"}
  built: {build: .}
`, host, fixed))
	nginx := "docker.io/library/nginx:1@" + public["library/nginx:1"]
	busybox := "docker.io/library/busybox:latest@" + public["library/busybox:latest"]
	api := host + "/team/api:2@" + private["team/api:2"]

	code, out, errs := u.Run("config --resolve-image-digests")
	if code != 0 {
		t.Fatalf("code %d: %s", code, errs)
	}
	stacktest.Wants(t, "--resolve-image-digests", out, "image: "+nginx+"\n", "image: "+busybox+"\n", "image: "+api+"\n", "image: "+fixed+"\n", "a: b\n")

	code, out, errs = u.Run("config --lock-image-digests")
	if want := fmt.Sprintf("services:\n  api:\n    image: %s\n  db:\n    image: %s\n  web:\n    image: %s\n", api, fixed, nginx); code != 0 || out != want {
		t.Errorf("--lock-image-digests: code %d\n%s\nexpected\n%s", code, out, want)
	}
	stacktest.Wants(t, "--lock-image-digests", errs, `service "web": images of pre_start are not in`)
	u.Write("lock.yaml", out)
	if _, out, _ = u.Run("-f " + filepath.Join(u.Dir, "compose.yaml") + " -f " + filepath.Join(u.Dir, "lock.yaml") + " config"); !strings.Contains(out, "image: "+nginx) || !strings.Contains(out, "a: b") {
		t.Errorf("locked, the project is\n%s", out)
	}
	if code, out, errs = u.Run("config --resolve-image-digests --format json web"); code != 0 || !strings.Contains(out, `"image": "`+nginx+`"`) || strings.Contains(out, "team/api") {
		t.Errorf("of one service: code %d\n%s%s", code, out, errs)
	}
	if code, out, _ = u.Run("config --resolve-image-digests -q"); code != 0 || out != "" {
		t.Errorf("quiet: code %d, %s", code, out)
	}

	u.Write("compose.yaml", fmt.Sprintf("services:\n  a: {image: nginx:1}\n  b:\n    image: %s/team/none:1\n  c:\n    image: %[1]s/team/api:9\n", host))
	code, out, errs = u.Run("config --resolve-image-digests")
	if code != 1 || out != "" || strings.Count(errs, "error: ") != 2 {
		t.Errorf("images that are not there: code %d\n%s%s", code, out, errs)
	}
	stacktest.Wants(t, "not there", errs, "compose.yaml:4:12: error: cannot resolve the digest of an image: ", "compose.yaml:6:12: ", "/team/none:1", "/team/api:9")
	if code, _, errs = u.Run("config --no-interpolate --lock-image-digests"); code != 1 || !strings.Contains(errs, "--no-interpolate") {
		t.Errorf("with --no-interpolate: code %d, %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(u.Dir, "run", "stack.sock")); err == nil {
		t.Error("a daemon was started")
	}
}
