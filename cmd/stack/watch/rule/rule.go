package rule

import (
	"fmt"
	"path"
	"strings"

	"github.com/stackrun/stack/spec"
)

// Actions of develop.watch.
// https://github.com/compose-spec/compose-spec/blob/main/develop.md#action
const (
	Rebuild     = "rebuild"
	Sync        = "sync"
	Restart     = "restart"
	SyncRestart = "sync+restart"
	SyncExec    = "sync+exec"
)

// builtIn is what no rule is about, as docker compose has it: git's own files, and what editors and tools write beside files. It holds at
// every depth below a rule's path.
var builtIn = []string{
	"**/.git",
	"**/.idea", "**/*___jb_old___", "**/*___jb_tmp___", // JetBrains
	"**/.#*", "**/#*#", // Emacs
	"**/4913", "**/*~", "**/.*.swp", "**/.*.swx", "**/.*.swo", "**/.*.swn", // Vim; .sw? would be too much: .swf and .swi are files of users
	"**/.*.kate-swp",
	"**/*-go-tmp-umask", // Go's standard library asks for its umask this way
}

// Rule is one entry of a service's develop.watch.
type Rule struct {
	Service string
	Index   int    // its place in the list, from 0
	Path    string // absolute, without symbolic links
	Action  string
	Target  string // absolute, in the container; "" = nothing is copied
	Initial bool   // initial_sync
	Exec    *spec.Hook

	include Patterns
	ignore  []Patterns // any of them
	bound   []string   // directories of this host that the container has anyway
}

// Source is what New needs to know beside the rule itself.
type Source struct {
	Service string
	Index   int
	Path    string   // spec.Watch's, without symbolic links
	Context string   // of the service's build, "" = none
	Ignored []string // patterns of the build's .dockerignore
	Bound   []string // sources of the service's bind mounts
}

// New makes a Rule. An error names the pattern's list that is at fault.
func New(w spec.Watch, s Source) (*Rule, error) {
	r := &Rule{Service: s.Service, Index: s.Index, Path: s.Path, Action: w.Action, Initial: w.InitialSync && copies(w.Action), Exec: w.Exec}
	if copies(w.Action) {
		r.Target, r.bound = path.Join("/", w.Target), s.Bound
		if strings.HasSuffix(w.Target, "/") && r.Target != "/" {
			r.Target += "/" // a file goes into it
		}
	}
	var err error
	if r.include, err = NewPatterns(s.Path, w.Include); err != nil {
		return nil, fmt.Errorf("include: %w", err)
	}
	for _, list := range []struct {
		name, base string
		patterns   []string
	}{{"", s.Path, builtIn}, {"ignore", s.Path, w.Ignore}, {".dockerignore", s.Context, s.Ignored}} {
		p, err := NewPatterns(list.base, list.patterns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list.name, err)
		}
		if !p.None() {
			r.ignore = append(r.ignore, p)
		}
	}
	return r, nil
}

// copies says whether an action copies files.
func copies(action string) bool {
	return action == Sync || action == SyncRestart || action == SyncExec
}

// Copies says whether the rule copies files.
func (r *Rule) Copies() bool { return copies(r.Action) }

// Bound says whether the container has the rule's path by a bind mount, so that there is nothing to copy.
func (r *Rule) Bound() bool { return r.isBound(r.Path) }

func (r *Rule) isBound(name string) bool {
	for _, dir := range r.bound {
		if _, ok := below(dir, name); ok {
			return true
		}
	}
	return false
}

// Matches says whether the rule is about name, an absolute path without symbolic links.
func (r *Rule) Matches(name string) bool {
	rel, ok := below(r.Path, name)
	if !ok || r.isBound(name) {
		return false
	}
	for _, p := range r.ignore {
		if p.Match(name) {
			return false
		}
	}
	return rel == "." || r.include.None() || r.include.Match(name)
}

// Within says whether the rule can be about something below the directory dir, or dir itself: if not, it need not be watched.
func (r *Rule) Within(dir string) bool {
	if _, above := below(dir, r.Path); above && dir != r.Path {
		return true // the way to it
	}
	if _, ok := below(r.Path, dir); !ok || r.isBound(dir) {
		return false
	}
	for _, p := range r.ignore {
		if p.Whole(dir) {
			return false
		}
	}
	return true
}

// At is where name, which the rule matches, is in the container.
func (r *Rule) At(name string) string {
	rel, _ := below(r.Path, name)
	if rel == "." && strings.HasSuffix(r.Target, "/") {
		return r.Target + path.Base(r.Path)
	}
	return path.Join(r.Target, rel)
}

// Rules are those of a session.
type Rules []*Rule

// Matches says whether any rule is about name.
func (rs Rules) Matches(name string) bool {
	for _, r := range rs {
		if r.Matches(name) {
			return true
		}
	}
	return false
}

// Within says whether any rule can be about what is below the directory dir.
func (rs Rules) Within(dir string) bool {
	for _, r := range rs {
		if r.Within(dir) {
			return true
		}
	}
	return false
}

// Roots are the paths of the rules, without those that are below another one.
func (rs Rules) Roots() []string {
	var roots []string
	for _, r := range rs {
		covered := false
		for _, o := range rs {
			if _, ok := below(o.Path, r.Path); ok && o.Path != r.Path {
				covered = true
			}
		}
		for _, have := range roots {
			covered = covered || have == r.Path
		}
		if !covered {
			roots = append(roots, r.Path)
		}
	}
	return roots
}
