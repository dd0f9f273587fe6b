// Package reference reads the names of images in registries.
package reference

import (
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

// Reference names an image in a registry. Parse fills it; the zero value names nothing.
type Reference struct {
	Host   string  // docker.io, localhost:5000, [::1]:5000
	Repo   string  // library/nginx
	Tag    string  // "" only with a digest
	Digest v1.Hash // zero = none; then it decides and Tag is only said
}

const (
	// DefaultHost is where a name without a host is.
	DefaultHost = "docker.io"
	defaultTag  = "latest"
	// officialRepo is where docker.io keeps names without a slash.
	officialRepo = "library/"
)

const maxRepoName = 255

// Parse reads what users write: nginx, nginx:1.22, localhost:5000/a/b@sha256:…, docker.io/library/nginx.
// The error is errdefs.ErrInvalidArgument and says which part is wrong.
func Parse(s string) (Reference, error) {
	bad := func(format string, args ...any) (Reference, error) {
		return Reference{}, errdefs.With(errdefs.ErrInvalidArgument,
			fmt.Errorf("cannot use image name %q: %s", s, fmt.Sprintf(format, args...)))
	}
	var ref Reference
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		h, err := v1.NewHash(digest)
		if err != nil {
			return bad("digest %q is not sha256: and 64 hex digits", digest)
		}
		ref.Digest = h
	}
	// The first part is a host when it looks like one; otherwise it belongs to a name on docker.io.
	if first, repo, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(first, ".:[") || first == "localhost") {
		if !IsHost(first) {
			return bad("%q is not a registry host", first)
		}
		ref.Host, rest = strings.ToLower(first), repo
	} else {
		ref.Host = DefaultHost
	}
	if ref.Host == "index.docker.io" || ref.Host == "registry-1.docker.io" {
		ref.Host = DefaultHost
	}
	ref.Repo = rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		ref.Repo, ref.Tag = rest[:i], rest[i+1:]
		if !isTag(ref.Tag) {
			return bad("tag %q must be 1 to 128 letters, digits, '_', '.' or '-', and begin with none of the last two", ref.Tag)
		}
	}
	switch {
	case ref.Repo == "":
		return bad("the name is empty")
	case len(ref.Repo) > maxRepoName:
		return bad("the name has %d characters, at most %d are allowed", len(ref.Repo), maxRepoName)
	case !IsRepo(ref.Repo):
		if IsRepo(strings.ToLower(ref.Repo)) {
			return bad("names have lower case letters only: %q", strings.ToLower(ref.Repo))
		}
		return bad("%q must be lower case letters and digits, separated by '/', '.', '_' or '-'", ref.Repo)
	}
	if ref.Host == DefaultHost && !strings.Contains(ref.Repo, "/") {
		ref.Repo = officialRepo + ref.Repo
	}
	if ref.Tag == "" && !hasDigest {
		ref.Tag = defaultTag
	}
	return ref, nil
}

// Name is host and repository: docker.io/library/nginx.
func (r Reference) Name() string { return r.Host + "/" + r.Repo }

// String is the full form: docker.io/library/nginx:1.22@sha256:….
func (r Reference) String() string { return r.suffix(r.Name()) }

// Familiar is the form that users write: nginx:1.22.
func (r Reference) Familiar() string { return r.suffix(Familiar(r.Name())) }

func (r Reference) suffix(s string) string {
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.HasDigest() {
		s += "@" + r.Digest.String()
	}
	return s
}

func (r Reference) HasDigest() bool { return r.Digest != (v1.Hash{}) }

// Tagged is the full form without the digest; "" when there is no tag.
func (r Reference) Tagged() string {
	if r.Tag == "" {
		return ""
	}
	return r.Name() + ":" + r.Tag
}

// Digested is the full form of r's repository at digest h.
func (r Reference) Digested(h v1.Hash) string { return r.Name() + "@" + h.String() }

// Identifier is what the registry's API calls a manifest: the digest when there is one.
func (r Reference) Identifier() string {
	if r.HasDigest() {
		return r.Digest.String()
	}
	return r.Tag
}

// Familiar leaves out what a short name implies.
func Familiar(full string) string {
	short, ok := strings.CutPrefix(full, DefaultHost+"/")
	if !ok {
		return full
	}
	// library/a/b cannot be shortened to a/b, which is another image.
	if official, ok := strings.CutPrefix(short, officialRepo); ok && !strings.Contains(official, "/") {
		return official
	}
	return short
}
