package image

import (
	"errors"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParseReference(t *testing.T) {
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
		r, err := ParseReference(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if r.String() != c.full || r.Familiar() != c.familiar {
			t.Errorf("%q is %q and %q, expected %q and %q", c.in, r.String(), r.Familiar(), c.full, c.familiar)
		}
	}
}

func TestParseReferenceErrors(t *testing.T) {
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
		_, err := ParseReference(in)
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, expected one with %q", in, err, want)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"nginx", "a.b:1/c/d:e", "r@" + someDigest, "[::1]:5000/x", "a/../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		for _, form := range []string{r.String(), r.Familiar()} {
			again, err := ParseReference(form)
			if err != nil || again != r {
				t.Errorf("%q gives %q, which gives %+v, %v", s, form, again, err)
			}
		}
		if strings.Contains(r.Repo, "..") || strings.HasPrefix(r.Repo, "/") {
			t.Errorf("%q has the repository %q", s, r.Repo)
		}
	})
}

func TestChoosePlatform(t *testing.T) {
	platform := func(s string) *v1.Platform {
		p, err := v1.ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ want, have, chosen string }{
		{"linux/amd64/v1", "linux/arm64 linux/amd64", "linux/amd64"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"},
		{"linux/amd64/v3", "linux/amd64 linux/amd64/v3", "linux/amd64/v3"},
		{"linux/amd64/v1", "linux/amd64/v2", ""},
		{"linux/arm64", "linux/arm64/v8 linux/amd64", "linux/arm64/v8"},
		{"linux/arm64/v8", "linux/arm/v7 linux/arm64", "linux/arm64"},
		{"linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm64", "linux/arm/v6"},
		{"linux/arm/v6", "linux/arm/v7", ""},
		{"linux/s390x", "linux/amd64 windows/amd64", ""},
		{"linux/x86_64/v1", "windows/amd64 linux/amd64", "linux/amd64"},
		{"linux/amd64/v1", "unknown/unknown linux/amd64", "linux/amd64"},
	} {
		var list []v1.Descriptor
		for have := range strings.SplitSeq(c.have, " ") {
			list = append(list, v1.Descriptor{Platform: platform(have)})
		}
		got, ok := choose(list, normalPlatform(*platform(c.want)))
		name := ""
		if ok {
			name = platformName(*got.Platform)
		}
		if name != c.chosen {
			t.Errorf("for %s of %s: %q, expected %q", c.want, c.have, name, c.chosen)
		}
	}
}
