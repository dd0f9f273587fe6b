package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// found is what a source path means in a tree.
type found struct {
	named     string // as the path says, cleaned: its last element is the name at the destination
	canonical string // where that leads
	dir       bool
	partly    bool // it is left out, and things in it may not be
}

// match finds what pattern means in t: one file, or all that it matches. Every element is a pattern of path.Match, ** is any number of directories. Links are
// followed, within t.
func (t *tree) match(pattern string) ([]found, error) {
	clean := path.Clean("/" + pattern)[1:]
	if clean == "" {
		clean = "."
	}
	if !strings.ContainsAny(clean, `*?[\`) {
		f, ok, err := t.find(clean)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, t.missing(pattern)
		}
		return []found{f}, nil
	}
	names, err := t.expand(".", strings.Split(clean, "/"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []found
	for _, name := range slices.Compact(names) {
		f, ok, err := t.find(name)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil, t.missing(pattern)
	}
	return list, nil
}

func (t *tree) missing(pattern string) error {
	hint := ""
	switch {
	case strings.HasPrefix(path.Clean(pattern), ".."):
		hint = "; nothing outside of it can be copied"
	case t.ignore.matcher != nil:
		hint = ", or its .dockerignore leaves it out"
	}
	return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("%s has no %q%s", t.name, pattern, hint))
}

// find resolves a name without patterns. ok is false when there is nothing, or it is left out.
func (t *tree) find(name string) (f found, ok bool, err error) {
	canonical, exists, err := t.root.Resolve(name)
	if err != nil {
		return f, false, fmt.Errorf("%s: %w", t.name, err)
	}
	f = found{named: name, canonical: canonical, dir: canonical == "."}
	if canonical == "." {
		return f, true, nil
	}
	if exists < 1+strings.Count(canonical, "/") {
		return f, false, nil
	}
	st, err := t.root.Lstat(canonical)
	if err != nil {
		return f, false, err
	}
	f.dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	w := t.ignore.walk()
	drop, err := w.drops(canonical)
	if err != nil {
		return f, false, err
	}
	f.partly = drop
	return f, !drop || f.dir && !w.whole(), nil
}

// expand lists the names below dir that the elements match.
func (t *tree) expand(dir string, elems []string) ([]string, error) {
	if len(elems) == 0 {
		return []string{dir}, nil
	}
	elem, rest := elems[0], elems[1:]
	if !strings.ContainsAny(elem, `*?[\`) {
		return t.expand(path.Join(dir, elem), rest)
	}
	canonical, exists, err := t.root.Resolve(dir)
	if err != nil {
		return nil, nil // not a directory: nothing in it matches
	}
	if canonical != "." {
		if exists < 1+strings.Count(canonical, "/") {
			return nil, nil
		}
		st, err := t.root.Lstat(canonical)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil, nil
		}
	}
	names, err := t.root.ReadDir(canonical)
	if err != nil {
		return nil, err
	}
	var all []string
	if elem == "**" {
		if all, err = t.expand(dir, rest); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		next := path.Join(dir, name)
		if elem == "**" {
			// Down into directories, not through links: they may lead in circles.
			st, err := t.root.Lstat(path.Join(canonical, name))
			if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
				if len(rest) == 0 {
					all = append(all, next)
				}
				continue
			}
			more, err := t.expand(next, elems)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		ok, err := path.Match(elem, name)
		if err != nil {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q is no pattern: %w", elem, err))
		}
		if !ok {
			continue
		}
		more, err := t.expand(next, rest)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}
