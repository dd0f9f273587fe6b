package rule

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"

	"github.com/stackrun/stack/spec"
)

func newRule(t *testing.T, w spec.Watch, s Source) *Rule {
	t.Helper()
	if s.Path == "" {
		s.Path = "/p"
	}
	if s.Service == "" {
		s.Service = "web"
	}
	r, err := New(w, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMatches: what a rule is about, by its own patterns, those of .dockerignore, and what nobody means.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		name    string
		watch   spec.Watch
		source  Source
		yes, no []string
	}{
		{"everything below", spec.Watch{}, Source{}, []string{"/p", "/p/a", "/p/a/b.c"}, []string{"/", "/q", "/pa", "/p2/a"}},
		{"ignore is relative to the path", spec.Watch{Ignore: []string{"node_modules/", "*.log", "/top", "**/deep.txt", " spaced "}}, Source{},
			[]string{"/p/a", "/p/sub/node_modules/x", "/p/sub/a.log", "/p/sub/top"},
			[]string{"/p/node_modules", "/p/node_modules/x/y", "/p/a.log", "/p/top", "/p/top/x", "/p/deep.txt", "/p/a/b/deep.txt", "/p/spaced"}},
		{"an ignore that is absolute", spec.Watch{Ignore: []string{"/p/out"}}, Source{}, []string{"/p/a"}, []string{"/p/out/x"}},
		{"exceptions", spec.Watch{Ignore: []string{"lib", "!lib/keep", "*.md", "!README.md"}}, Source{},
			[]string{"/p/lib/keep", "/p/lib/keep/x", "/p/README.md"}, []string{"/p/lib", "/p/lib/x", "/p/a.md"}},
		{"include", spec.Watch{Include: []string{"*.js", "**/*.css", "static"}}, Source{},
			[]string{"/p", "/p/a.js", "/p/a.css", "/p/x/y/a.css", "/p/static/x/y"}, []string{"/p/x/a.js", "/p/a.go"}},
		{"ignore wins over include", spec.Watch{Include: []string{"**/*.js"}, Ignore: []string{"dist"}}, Source{}, []string{"/p/a.js", "/p/x/a.js"}, []string{"/p/dist/a.js"}},
		{".dockerignore is relative to the context", spec.Watch{}, Source{Path: "/p/src", Context: "/p", Ignored: []string{"src/gen", "*.md"}},
			[]string{"/p/src/a", "/p/src/a.md"}, []string{"/p/src/gen/x"}},
		{".dockerignore of a context that is elsewhere", spec.Watch{}, Source{Context: "/q", Ignored: []string{"*"}}, []string{"/p/a"}, nil},
		{"a .dockerignore that names what counts", spec.Watch{}, Source{Context: "/p", Ignored: []string{"*", "!src"}}, []string{"/p/src", "/p/src/a/b"}, []string{"/p/a", "/p/x/src"}},
		{"what nobody means", spec.Watch{}, Source{}, []string{"/p/.github/x", "/p/.gitignore", "/p/a.swf", "/p/.env", "/p/x#y"},
			[]string{"/p/.git", "/p/.git/index", "/p/sub/.git/index", "/p/.a.swp", "/p/x/.a.swp", "/p/.a.swx", "/p/4913", "/p/a.go~", "/p/.#a", "/p/#a#", "/p/.idea/x", "/p/x___jb_tmp___", "/p/.a.kate-swp", "/p/x-go-tmp-umask"}},
		{"a file", spec.Watch{Ignore: []string{"*"}}, Source{Path: "/p/package.json"}, []string{"/p/package.json"}, []string{"/p/package.json5", "/p"}},
		{"a file that .dockerignore leaves out", spec.Watch{}, Source{Path: "/p/package.json", Context: "/p", Ignored: []string{"*.json"}}, nil, []string{"/p/package.json"}},
		{"what is mounted anyway", spec.Watch{Action: Sync, Target: "/t"}, Source{Bound: []string{"/p/data"}}, []string{"/p/a", "/p/data2"}, []string{"/p/data", "/p/data/x"}},
		{"what is mounted and built", spec.Watch{Action: Rebuild}, Source{Bound: []string{"/p/data"}}, []string{"/p/data/x"}, nil},
		{"the top of the host", spec.Watch{}, Source{Path: "/"}, []string{"/a", "/a/b"}, []string{"/.git/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRule(t, c.watch, c.source)
			for _, name := range c.yes {
				if !r.Matches(name) {
					t.Errorf("%s does not match", name)
				}
			}
			for _, name := range c.no {
				if r.Matches(name) {
					t.Errorf("%s matches", name)
				}
			}
		})
	}
}

// TestWithin: directories that nothing below can matter of are not looked into; all others are.
func TestWithin(t *testing.T) {
	r := newRule(t, spec.Watch{Ignore: []string{"node_modules", "lib", "!lib/keep", "gen", "!*/x"}, Include: []string{"**/*.js"}}, Source{Path: "/p/src"})
	for dir, want := range map[string]bool{
		"/": true, "/p": true, "/p/src": true, "/p/src/a": true, "/p/other": false,
		"/p/src/.git": false, "/p/src/a/.git": false, "/p/src/lib": true, "/p/src/lib/keep": true,
		"/p/src/gen": true, // for !*/x
	} {
		if got := r.Within(dir); got != want {
			t.Errorf("Within(%s) = %v, want %v", dir, got, want)
		}
	}
	r = newRule(t, spec.Watch{Ignore: []string{"node_modules", "lib", "!lib/keep", "!**/*.keep2"}}, Source{})
	if !r.Within("/p/node_modules") {
		t.Error("an exception with ** reaches everything")
	}
	r = newRule(t, spec.Watch{Ignore: []string{"node_modules", "lib", "!lib/keep"}}, Source{})
	for dir, want := range map[string]bool{"/p/node_modules": false, "/p/lib": true, "/p/lib/other": false, "/p/lib/keep/x": true} {
		if got := r.Within(dir); got != want {
			t.Errorf("Within(%s) = %v, want %v", dir, got, want)
		}
	}
}

// TestAt: where files go.
func TestAt(t *testing.T) {
	for _, c := range []struct{ path, target, name, want string }{
		{"/p", "/app", "/p/a/b", "/app/a/b"},
		{"/p", "/app/", "/p/a", "/app/a"},
		{"/p", "app", "/p/a", "/app/a"},
		{"/p", "/", "/p/a", "/a"},
		{"/p", "/app/../x", "/p/a", "/x/a"},
		{"/p/f.json", "/app/g.json", "/p/f.json", "/app/g.json"},
		{"/p/f.json", "/app/", "/p/f.json", "/app/f.json"},
	} {
		r := newRule(t, spec.Watch{Action: Sync, Target: c.target}, Source{Path: c.path})
		if got := path.Clean(r.At(c.name)); got != c.want {
			t.Errorf("%s of path %s goes to %s of target %s, want %s", c.name, c.path, got, c.target, c.want)
		}
	}
}

// TestPatternsThatAreWrong are named with the list that they are in.
func TestPatternsThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		watch  spec.Watch
		source Source
		want   string
	}{
		{spec.Watch{Ignore: []string{"["}}, Source{Path: "/p"}, "ignore: "},
		{spec.Watch{Include: []string{"a["}}, Source{Path: "/p"}, "include: "},
		{spec.Watch{}, Source{Path: "/p", Context: "/p", Ignored: []string{"["}}, ".dockerignore: "},
	} {
		if _, err := New(c.watch, c.source); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.watch, err, c.want)
		}
	}
}

// show is a batch as text.
func show(all map[string]*Work) string {
	var lines []string
	for _, service := range slices.Sorted(maps.Keys(all)) {
		w := all[service]
		line := service + ": changed " + strings.Join(slices.Sorted(maps.Keys(w.Changed)), " ")
		for _, at := range slices.Sorted(maps.Keys(w.Copy)) {
			c := w.Copy[at]
			line += fmt.Sprintf("; %s from %s gone=%v dir=%v rules=%d", at, c.From, c.Gone, c.Dir, len(c.Rules))
		}
		if w.Rebuild {
			line += "; rebuild"
		}
		if w.Restart {
			line += "; restart"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestBatch: what a batch of changes means for each service.
func TestBatch(t *testing.T) {
	rules := Rules{
		newRule(t, spec.Watch{Action: Sync, Target: "/app"}, Source{Path: "/p/src"}),
		newRule(t, spec.Watch{Action: SyncRestart, Target: "/app/conf"}, Source{Path: "/p/src/conf", Index: 1}),
		newRule(t, spec.Watch{Action: Rebuild}, Source{Path: "/p/package.json", Index: 2}),
		newRule(t, spec.Watch{Action: Restart}, Source{Service: "db", Path: "/p/src/conf"}),
		newRule(t, spec.Watch{Action: Rebuild}, Source{Service: "gen", Path: "/p/gen"}),
	}
	for _, c := range []struct {
		name    string
		changes []Change
		want    string
	}{
		{"nothing", nil, ""},
		{"what no rule is about", []Change{{Path: "/p/README"}}, ""},
		{"a file", []Change{{Path: "/p/src/a"}}, "web: changed /p/src/a; /app/a from /p/src/a gone=false dir=false rules=1"},
		{"gone", []Change{{Path: "/p/src/a", Gone: true}}, "web: changed /p/src/a; /app/a from /p/src/a gone=true dir=false rules=1"},
		{"a path below another rule's", []Change{{Path: "/p/src/conf/a"}},
			"db: changed /p/src/conf/a; restart\nweb: changed /p/src/conf/a; /app/conf/a from /p/src/conf/a gone=false dir=false rules=2"},
		{"directories start nothing", []Change{{Path: "/p/src/conf/d", Dir: true}, {Path: "/p/gen/d", Dir: true}}, "web: changed ; /app/conf/d from /p/src/conf/d gone=false dir=true rules=2"},
		{"the target itself stays", []Change{{Path: "/p/src", Dir: true, Gone: true}, {Path: "/p/src/a", Gone: true}}, "web: changed /p/src/a; /app/a from /p/src/a gone=true dir=false rules=1"},
		{"rebuild and copy", []Change{{Path: "/p/package.json"}, {Path: "/p/src/a"}}, "web: changed /p/package.json /p/src/a; /app/a from /p/src/a gone=false dir=false rules=1; rebuild"},
	} {
		if got := show(rules.Batch(c.changes)); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
	if got := strings.Join(rules.Roots(), " "); got != "/p/src /p/package.json /p/gen" {
		t.Errorf("the roots are %s", got)
	}
}

// TestOnePlaceTwice: two sources of one place in the container.
func TestOnePlaceTwice(t *testing.T) {
	rules := Rules{
		newRule(t, spec.Watch{Action: Sync, Target: "/app"}, Source{Path: "/p/a"}),
		newRule(t, spec.Watch{Action: Sync, Target: "/app"}, Source{Path: "/p/b", Index: 1}),
	}
	for _, c := range []struct {
		changes []Change
		want    string
	}{
		{[]Change{{Path: "/p/a/f"}, {Path: "/p/b/f"}}, "web: changed /p/a/f /p/b/f; /app/f from /p/b/f gone=false dir=false rules=1"},
		{[]Change{{Path: "/p/a/f"}, {Path: "/p/b/f", Gone: true}}, "web: changed /p/a/f /p/b/f; /app/f from /p/a/f gone=false dir=false rules=1"},
	} {
		if got := show(rules.Batch(c.changes)); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

// TestAdd: what comes while something is done is done as one, and the later word counts.
func TestAdd(t *testing.T) {
	r := newRule(t, spec.Watch{Action: Sync, Target: "/app"}, Source{})
	rules := Rules{r, newRule(t, spec.Watch{Action: Restart}, Source{Path: "/p/x", Index: 1})}
	w := rules.Batch([]Change{{Path: "/p/a"}, {Path: "/p/b"}})["web"]
	w.Add(rules.Batch([]Change{{Path: "/p/a", Gone: true}, {Path: "/p/x"}})["web"])
	want := "web: changed /p/a /p/b /p/x; /app/a from /p/a gone=true dir=false rules=1; /app/b from /p/b gone=false dir=false rules=1; /app/x from /p/x gone=false dir=false rules=1; restart"
	if got := show(map[string]*Work{"web": w}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestConsequences: a restart and commands follow from what has been copied, each once, in the order of the file.
func TestConsequences(t *testing.T) {
	plain := newRule(t, spec.Watch{Action: Sync, Target: "/a"}, Source{Path: "/p/a"})
	restart := newRule(t, spec.Watch{Action: SyncRestart, Target: "/b"}, Source{Path: "/p/b", Index: 1})
	first := newRule(t, spec.Watch{Action: SyncExec, Target: "/c", Exec: &spec.Hook{Command: []string{"1"}}}, Source{Path: "/p/c", Index: 2})
	second := newRule(t, spec.Watch{Action: SyncExec, Target: "/d", Exec: &spec.Hook{Command: []string{"2"}}}, Source{Path: "/p/d", Index: 3})
	rules := Rules{plain, restart, first, second}
	all := rules.Batch([]Change{{Path: "/p/a/f"}, {Path: "/p/b/f"}, {Path: "/p/b/d", Dir: true}, {Path: "/p/d/f"}, {Path: "/p/c/f"}, {Path: "/p/c/g"}})["web"].Copy
	for _, c := range []struct {
		paths    []string
		restart  bool
		commands []*Rule
	}{
		{nil, false, nil},
		{[]string{"/a/f"}, false, nil},
		{[]string{"/b/d"}, false, nil},
		{[]string{"/a/f", "/b/f"}, true, nil},
		{[]string{"/d/f", "/c/f", "/c/g"}, false, []*Rule{first, second}},
	} {
		r, commands := Consequences(all, c.paths)
		if r != c.restart || !slices.Equal(commands, c.commands) {
			t.Errorf("%v: restart %v, %d commands; want %v, %d", c.paths, r, len(commands), c.restart, len(c.commands))
		}
	}
}

// TestInitial: initial_sync is about the files of its own rules.
func TestInitial(t *testing.T) {
	rules := Rules{
		newRule(t, spec.Watch{Action: Sync, Target: "/a", InitialSync: true, Ignore: []string{"x"}}, Source{Path: "/p/a"}),
		newRule(t, spec.Watch{Action: Sync, Target: "/b"}, Source{Path: "/p/b", Index: 1}),
		newRule(t, spec.Watch{Action: Sync, Target: "/c", InitialSync: true}, Source{Service: "other", Path: "/p/a"}),
	}
	all := map[string]Copy{}
	rules.Initial("web", []Change{{Path: "/p/a", Dir: true}, {Path: "/p/a/f"}, {Path: "/p/a/x"}, {Path: "/p/b/f"}}, all)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"/a/f"}) {
		t.Errorf("%v are copied at first", got)
	}
}

// FuzzPatterns: patterns match as those of a .dockerignore do; a directory that is passed over has nothing in it that does not match.
func FuzzPatterns(f *testing.F) {
	for _, seed := range [][2]string{
		{"node_modules\n*.log\n!keep.log", "node_modules/a/b"}, {"*\n!src", "src/a"}, {"**/x\n!**/x/y", "a/x/y"}, {"a/**/b", "a/c/d/b"}, {"/a/", "a"}, {"!a", "a"}, {"[", "a"}, {"\\", "a"}, {"..", "a"}, {"a\x00", "a"}, {"?/b\n!c/b/d", "c/b/d/e"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		name = path.Clean("/" + name)[1:]
		p, err := NewPatterns("/base/dir", strings.Split(text, "\n"))
		if err != nil || name == "" || name == "." {
			return
		}
		var plain []string
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			not := strings.HasPrefix(line, "!")
			line = strings.TrimSpace(strings.TrimPrefix(line, "!"))
			if line == "" {
				continue
			}
			if _, in := below("/base/dir", path.Clean(line)); in {
				return // docker compose's own meaning
			}
			line = strings.TrimLeft(filepath.Clean(line), "/")
			if line == "" {
				line = "."
			}
			if line = path.Clean(line); not {
				line = "!" + line
			}
			plain = append(plain, line)
		}
		m, err := patternmatcher.New(plain)
		if err != nil {
			t.Fatalf("%q is refused only there: %v", plain, err)
		}
		want, _ := m.MatchesOrParentMatches(name)
		if got := p.Match("/base/dir/" + name); got != want {
			t.Fatalf("%q of %q: %v, want %v", name, text, got, want)
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if p.Whole("/base/dir/"+dir) && !want {
				t.Fatalf("%q passes over %q, but %q does not match", text, dir, name)
			}
		}
	})
}
