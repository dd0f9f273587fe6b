package image

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/image/registry"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestCredentials(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))
	const user, secret = "jo", "pa:ss"
	h.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == user && p == secret {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
		return true
	})
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	file := func(v any) string {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, must(json.Marshal(v)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inline := file(map[string]any{"auths": map[string]any{h.host: map[string]string{"auth": auth}}})
	old := file(map[string]any{"auths": map[string]any{"http://" + h.host + "/v1/": map[string]string{"auth": auth}}})
	helper := file(map[string]any{"credHelpers": map[string]string{h.host: "good"}})
	store := file(map[string]any{"auths": map[string]any{h.host: map[string]string{}}, "credsStore": "good"})
	broken := file(map[string]any{"credsStore": "broken"})
	wrong := file(map[string]any{"auths": map[string]any{h.host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("a:b"))}}})

	helpers := t.TempDir()
	for name, script := range map[string]string{
		"good":   fmt.Sprintf(`printf '{"Username":"%s","Secret":"%s"}'`, user, secret),
		"broken": `echo "no keyring" >&2; exit 1`,
	} {
		if err := os.WriteFile(filepath.Join(helpers, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", helpers+":"+os.Getenv("PATH"))

	for name, c := range map[string]struct {
		env  map[string]string
		fail string
	}{
		"DOCKER_CONFIG":            {env: map[string]string{"DOCKER_CONFIG": filepath.Dir(inline)}},
		"REGISTRY_AUTH_FILE":       {env: map[string]string{"REGISTRY_AUTH_FILE": inline}},
		"REGISTRY_AUTH_FILE first": {env: map[string]string{"REGISTRY_AUTH_FILE": inline, "DOCKER_CONFIG": filepath.Dir(wrong)}},
		"key with scheme and path": {env: map[string]string{"REGISTRY_AUTH_FILE": old}},
		"credential helper":        {env: map[string]string{"REGISTRY_AUTH_FILE": helper}},
		"credentials store":        {env: map[string]string{"REGISTRY_AUTH_FILE": store}},
		"broken helper, next file": {env: map[string]string{"REGISTRY_AUTH_FILE": broken, "DOCKER_CONFIG": filepath.Dir(inline)}},
		"broken helper":            {env: map[string]string{"REGISTRY_AUTH_FILE": broken}, fail: "docker-credential-broken failed"},
		"wrong password":           {env: map[string]string{"REGISTRY_AUTH_FILE": wrong}, fail: "who are you"},
		"none":                     {fail: "docker login"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openAsking(t, newRoots(t), registry.Options{Getenv: func(key string) string { return c.env[key] }})
			_, _, err := pull(s, h.host+"/app:1")
			if c.fail == "" && err != nil {
				t.Error(err)
			}
			if c.fail != "" && (!errors.Is(err, registry.ErrDenied) || !strings.Contains(err.Error(), c.fail)) {
				t.Errorf("error is %v, expected %q in it", err, c.fail)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}

	// A public image does not need the helper that is broken.
	h.behave()
	s := openAsking(t, newRoots(t), registry.Options{Getenv: func(key string) string { return map[string]string{"REGISTRY_AUTH_FILE": broken}[key] }})
	_, notes, err := pull(s, h.host+"/app:1")
	if err != nil || !strings.Contains(strings.Join(notes, "\n"), "no keyring") {
		t.Errorf("error %v, notes %q", err, notes)
	}
}
