package build

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/stackrun/stack/internal/errdefs"
)

// ignore decides which files of a context there are. The zero value leaves out none.
type ignore struct {
	matcher  *patternmatcher.PatternMatcher
	patterns []string // for keys
}

// readIgnore reads <dockerfile>.dockerignore where there is one, else the context's .dockerignore.
// https://docs.docker.com/build/concepts/context/#filename-and-location
func readIgnore(dir, dockerfile string) (ignore, error) {
	var names []string
	if dockerfile != "" {
		names = append(names, dockerfile+".dockerignore")
	}
	for _, name := range append(names, filepath.Join(dir, ".dockerignore")) {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return ignore{}, fmt.Errorf("cannot read %s: %w", name, err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
		if err != nil {
			return ignore{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read %s: %w", name, err))
		}
		i, err := newIgnore(patterns)
		if err != nil {
			return ignore{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read %s: %w", name, err))
		}
		return i, nil
	}
	return ignore{}, nil
}

func newIgnore(patterns []string) (ignore, error) {
	if len(patterns) == 0 {
		return ignore{}, nil
	}
	m, err := patternmatcher.New(patterns)
	return ignore{m, patterns}, err
}

// walkIgnore is an ignore on the way down a tree: what it knows of the directories that it came through.
type walkIgnore struct {
	ignore
	parents map[string]patternmatcher.MatchInfo
}

func (i ignore) walk() *walkIgnore {
	return &walkIgnore{ignore: i, parents: map[string]patternmatcher.MatchInfo{}}
}

// drops says whether name is left out. Its directories were asked about before, or are now.
func (w *walkIgnore) drops(name string) (bool, error) {
	if w.matcher == nil || name == "." {
		return false, nil
	}
	parent, err := w.parent(path.Dir(name))
	if err != nil {
		return false, err
	}
	drop, info, err := w.matcher.MatchesUsingParentResults(name, parent)
	if err == nil {
		w.parents[name] = info
	}
	return drop, err
}

func (w *walkIgnore) parent(dir string) (patternmatcher.MatchInfo, error) {
	if dir == "." {
		return patternmatcher.MatchInfo{}, nil
	}
	if info, ok := w.parents[dir]; ok {
		return info, nil
	}
	_, err := w.drops(dir)
	return w.parents[dir], err
}

// whole says whether what is below a directory that is left out is left out too.
func (w *walkIgnore) whole() bool { return w.matcher == nil || !w.matcher.Exclusions() }
