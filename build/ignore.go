package build

import (
	"fmt"
	"path"

	"github.com/moby/patternmatcher"

	"github.com/stackrun/stack/internal/dockerignore"
	"github.com/stackrun/stack/internal/errdefs"
)

// ignore decides which files of a context there are. The zero value leaves out none.
type ignore struct {
	matcher  *patternmatcher.PatternMatcher
	patterns []string // for keys
}

// readIgnore reads what leaves files of dir out of a build of dockerfile ("" = there is none).
func readIgnore(dir, dockerfile string) (ignore, error) {
	patterns, name, err := dockerignore.Read(dir, dockerfile)
	if err != nil {
		return ignore{}, err
	}
	i, err := newIgnore(patterns)
	if err != nil {
		return ignore{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot read %s: %w", name, err))
	}
	return i, nil
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
