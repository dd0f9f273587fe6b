package build

import (
	"context"
	"errors"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

// remote is a source of a build that may have to be fetched.
type remote struct {
	line        int
	instruction string
	image, url  string // one of them
}

// OfflineError is a source that a build would have to fetch and may not. errdefs.ErrNotFound.
type OfflineError struct{ What string }

func (e *OfflineError) Error() string {
	return e.What + " is not on this host, and nothing is fetched offline"
}

func (e *OfflineError) Unwrap() error { return errdefs.ErrNotFound }

// Advice is what the user can do.
func (e *OfflineError) Advice() string {
	if isURL(e.What) {
		return "put the file beside the Dockerfile and COPY it, or build without --offline"
	}
	return "a build without --offline pulls it, or load it from a file with `stack load -i FILE`"
}

// Lacks names what a build of r would have to fetch, each with its place in the Dockerfile: images that are not here, and what an ADD takes from a server. awaited says of a
// reference that it will be there by then. What only an ONBUILD of a base asks for, and names that only variables of a stage make, are not known before the build.
// It changes nothing and asks nobody. An error: the Dockerfile cannot be read.
func (b *Builder) Lacks(ctx context.Context, r Request, awaited func(ref string) bool) ([]*Error, error) {
	file, err := open(&r)
	if err != nil {
		return nil, err
	}
	l, err := lay(&r, file)
	if err != nil {
		return nil, err
	}
	var lacks []*Error
	told := map[string]bool{}
	for _, f := range l.remotes {
		what := f.url
		if f.image != "" {
			if awaited(f.image) || strings.Contains(f.image, "$") {
				continue
			}
			if _, err := b.opt.Images.Resolve(ctx, f.image, v1.Platform{}); err == nil {
				continue
			} else if !errors.Is(err, errdefs.ErrNotFound) {
				return nil, &Error{File: file.name, Line: f.line, Instruction: f.instruction, Err: err}
			}
			what = f.image
		}
		if !told[what] {
			told[what] = true
			lacks = append(lacks, &Error{File: file.name, Line: f.line, Instruction: f.instruction, Err: &OfflineError{What: what}})
		}
	}
	return lacks, nil
}

// open reads and parses the Dockerfile of r.
func open(r *Request) (*dockerfile, error) {
	text, err := readDockerfile(r)
	if err != nil {
		return nil, err
	}
	return parseDockerfile(r.Dockerfile, text)
}
