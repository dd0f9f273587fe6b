package reference

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, full, familiar string }{
		{"nginx", "docker.io/library/nginx:latest", "nginx:latest"},
		{"nginx:1.22", "docker.io/library/nginx:1.22", "nginx:1.22"},
		{"docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"},
		{"index.docker.io/library/nginx:1", "docker.io/library/nginx:1", "nginx:1"},
		{"user/app", "docker.io/user/app:latest", "user/app:latest"},
		{"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
		{"localhost/app", "localhost/app:latest", "localhost/app:latest"},
		{"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
		{"[::1]:5000/a/b_c/d--e", "[::1]:5000/a/b_c/d--e:latest", "[::1]:5000/a/b_c/d--e:latest"},
		{"GHCR.io/owner/app", "ghcr.io/owner/app:latest", "ghcr.io/owner/app:latest"},
		{"redis@" + someDigest, "docker.io/library/redis@" + someDigest, "redis@" + someDigest},
		{"redis:7@" + someDigest, "docker.io/library/redis:7@" + someDigest, "redis:7@" + someDigest},
	} {
		r, err := Parse(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if r.String() != c.full || r.Familiar() != c.familiar {
			t.Errorf("%q is %q and %q, expected %q and %q", c.in, r.String(), r.Familiar(), c.full, c.familiar)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "empty",
		":tag":                              "empty",
		"Nginx":                             `lower case letters only: "nginx"`,
		"nginx:":                            "tag",
		"nginx:-x":                          "tag",
		"nginx@sha256:12":                   "64 hex digits",
		"nginx@" + someDigest + "/x":        "64 hex digits",
		"a//b":                              "separated by",
		"../etc/passwd":                     "",
		"host:99999999/app":                 "not a registry host",
		"http://host/app":                   "not a registry host",
		"app name":                          "separated by",
		strings.Repeat("a", 300):            "at most 255",
		"nginx:" + strings.Repeat("t", 129): "tag",
	} {
		_, err := Parse(in)
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, expected one with %q", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"nginx", "a.b:1/c/d:e", "r@" + someDigest, "[::1]:5000/x", "a/../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		compareGrammar(t, s)
		r, err := Parse(s)
		if err != nil {
			return
		}
		for _, form := range []string{r.String(), r.Familiar()} {
			again, err := Parse(form)
			if err != nil || again != r {
				t.Errorf("%q gives %q, which gives %+v, %v", s, form, again, err)
			}
		}
		if strings.Contains(r.Repo, "..") || strings.HasPrefix(r.Repo, "/") {
			t.Errorf("%q has the repository %q", s, r.Repo)
		}
	})
}
