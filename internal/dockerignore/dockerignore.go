// Package dockerignore finds the file that says what of a directory is no source of a build.
package dockerignore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"

	"github.com/stackrun/stack/internal/errdefs"
)

// Read returns the patterns of <dockerfile>.dockerignore where there is one, else those of dir's .dockerignore, and which file they
// are of; neither = none. dockerfile is absolute, or "".
// https://docs.docker.com/build/concepts/context/#filename-and-location
func Read(dir, dockerfile string) (patterns []string, file string, err error) {
	names := []string{filepath.Join(dir, ".dockerignore")}
	if dockerfile != "" {
		names = []string{dockerfile + ".dockerignore", names[0]}
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, name, fmt.Errorf("cannot read %s: %w", name, err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
		if err != nil {
			err = errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read %s: %w", name, err))
		}
		return patterns, name, err
	}
	return nil, "", nil
}
