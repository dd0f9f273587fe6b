package rule

import (
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/patternmatcher"
)

// Patterns are those of a .dockerignore, of `ignore` or of `include`, relative to a directory. The zero value matches nothing. Safe for
// concurrent use.
type Patterns struct {
	base    string // absolute
	except  []string
	mu      *sync.Mutex // the matcher compiles its patterns when they are first asked
	matcher *patternmatcher.PatternMatcher
}

// NewPatterns reads patterns that are relative to base, an absolute path.
func NewPatterns(base string, patterns []string) (Patterns, error) {
	p := Patterns{base: base, mu: &sync.Mutex{}}
	var list []string
	for _, text := range patterns {
		text = strings.TrimSpace(text)
		not := strings.HasPrefix(text, "!")
		text = strings.TrimSpace(strings.TrimPrefix(text, "!"))
		if text == "" {
			continue
		}
		// docker compose puts base in front of what is relative: an absolute pattern means that path, or the top, as in a .dockerignore.
		if rel, ok := below(base, path.Clean(text)); ok {
			text = rel
		}
		text = path.Clean(strings.TrimLeft(text, "/"))
		if not {
			p.except = append(p.except, text)
			text = "!" + text
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return p, nil
	}
	var err error
	p.matcher, err = patternmatcher.New(list)
	if err == nil {
		_, err = p.matcher.MatchesOrParentMatches("x") // compiles them
	}
	return p, err
}

// None says that there are no patterns.
func (p Patterns) None() bool { return p.matcher == nil }

// Match says whether they match name, an absolute path, or a directory that it is in. What is not below base they do not match.
func (p Patterns) Match(name string) bool {
	rel, ok := below(p.base, name)
	if p.matcher == nil || !ok || rel == "." {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	match, err := p.matcher.MatchesOrParentMatches(filepath.FromSlash(rel))
	return err == nil && match // what cannot be compiled NewPatterns has refused
}

// Whole says whether they match dir and everything that can be below it.
func (p Patterns) Whole(dir string) bool {
	if !p.Match(dir) {
		return false
	}
	rel, _ := below(p.base, dir)
	for _, e := range p.except {
		if reaches(e, rel) {
			return false
		}
	}
	return true
}

// reaches says whether pattern could match something below dir: not, if a part of it that is plain text differs.
func reaches(pattern, dir string) bool {
	is := strings.Split(dir, "/")
	for i, part := range strings.Split(pattern, "/") {
		if i >= len(is) || part == "**" {
			return true
		}
		if strings.ContainsAny(part, `*?[\`) {
			continue // it may match this part
		}
		if part != is[i] {
			return false
		}
	}
	return true // dir is below what it matches
}

// below is name relative to dir, if it is dir or below it. Both are clean and absolute.
func below(dir, name string) (string, bool) {
	if name == dir {
		return ".", true
	}
	if dir != "/" {
		dir += "/"
	}
	rel, ok := strings.CutPrefix(name, dir)
	return rel, ok
}
