package remote

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// gitReference is REPOSITORY[#[REF][:PATH]], as docker compose and docker build have it:
// https://docs.docker.com/build/concepts/context/#git-repositories
type gitReference struct {
	repository string // what git understands
	ref        string // branch, tag or commit; "" is the default branch
	path       string // within the repository, clean; "" is its top
}

// scp is user@host:path.
var scp = lazyregexp.New(`^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:]`)

func parseGit(text string) (gitReference, error) {
	var r gitReference
	base, fragment, _ := strings.Cut(text, "#")
	base, query, _ := strings.Cut(base, "?")
	r.repository = base
	switch {
	case strings.HasPrefix(base, "github.com/"):
		r.repository = "https://" + base
	case scp.MatchString(base):
	default:
		u, err := url.Parse(base)
		if err != nil {
			return r, errors.New("it is not a URL")
		}
		switch u.Scheme {
		case "ssh", "git":
		case "http", "https":
			if !strings.HasSuffix(u.Path, ".git") {
				return r, errors.New("the URL of a repository must end with .git")
			}
		default:
			return r, fmt.Errorf("%s:// is not fetched: use https, http, ssh, git or oci", u.Scheme)
		}
		if u.Host == "" {
			return r, errors.New("it names no host")
		}
	}
	r.ref, r.path, _ = strings.Cut(fragment, ":")
	if err := r.options(query); err != nil {
		return r, err
	}
	if r.path != "" {
		if r.path = strings.TrimPrefix(filepath.Clean(r.path), "./"); !filepath.IsLocal(r.path) {
			return r, fmt.Errorf("the path %q leaves the repository", r.path)
		}
	}
	if strings.HasPrefix(r.ref, "-") || strings.HasPrefix(r.repository, "-") || strings.ContainsAny(text, "\x00\n\r") {
		return r, errors.New("it is not a reference: a name starts with -, or has a line's end")
	}
	return r, nil
}

// options reads ?ref=, branch=, tag= and subdir=.
func (r *gitReference) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what follows ? is not NAME=value")
	}
	set := func(what *string, value string) error {
		if *what != "" && *what != value {
			return fmt.Errorf("it says both %q and %q", *what, value)
		}
		*what = value
		return nil
	}
	for name := range values {
		value := values.Get(name)
		switch name {
		case "ref":
			err = set(&r.ref, value)
		case "branch":
			err = set(&r.ref, "refs/heads/"+strings.TrimPrefix(value, "refs/heads/"))
		case "tag":
			err = set(&r.ref, "refs/tags/"+strings.TrimPrefix(value, "refs/tags/"))
		case "subdir":
			err = set(&r.path, value)
		default:
			err = fmt.Errorf("the option %q is not known: use ref, branch, tag or subdir", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
