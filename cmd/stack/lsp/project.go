package lsp

import (
	"context"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/editor"
)

// document is an open file as the editor has it.
type document struct {
	text    editor.Text
	raw     string
	version int
	names   map[string][]string // of the project, from the last time that it loaded
}

// pathOf is the file that a file: URI names.
func pathOf(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || !path.IsAbs(u.Path) {
		return "", false
	}
	return path.Clean(u.Path), true
}

func uriOf(file string) string { return (&url.URL{Scheme: "file", Path: file}).String() }

// unsaved is the host's files with those that are open as the editor has them.
type unsaved struct {
	fs.FS
	open map[string]*document
}

func (u unsaved) Open(name string) (fs.File, error) {
	if d, ok := u.open["/"+name]; ok {
		return memory{strings.NewReader(d.raw), path.Base(name)}, nil
	}
	return u.FS.Open(name)
}

func (u unsaved) Stat(name string) (fs.FileInfo, error) {
	if d, ok := u.open["/"+name]; ok {
		return memory{strings.NewReader(d.raw), path.Base(name)}, nil
	}
	return fs.Stat(u.FS, name)
}

// memory is a file that is a text, and its own description.
type memory struct {
	*strings.Reader
	name string
}

func (m memory) Stat() (fs.FileInfo, error) { return m, nil }
func (memory) Close() error                 { return nil }
func (m memory) Name() string               { return m.name }
func (memory) Mode() fs.FileMode            { return 0o644 }
func (memory) ModTime() time.Time           { return time.Time{} }
func (memory) IsDir() bool                  { return false }
func (memory) Sys() any                     { return nil }

// located is what the project of a document is loaded with.
type located struct {
	in     spec.Input
	faults diag.List
}

// locate finds the files that file is loaded with: by itself, or, when over, after the default file of
// its directory, whose override it may be.
func (s *server) locate(file string, over bool) located {
	fsys := unsaved{s.FS, s.open}
	dir := path.Dir(file)
	env := maps.Clone(s.Env)
	delete(env, "COMPOSE_FILE") // which file is meant is said
	r := spec.Request{Cwd: dir, Process: env, Files: []string{file}}
	if over {
		r.Files = nil
		found, _ := spec.Locate(context.Background(), fsys, r)
		r.Files = slices.DeleteFunc(found.Files, func(f string) bool { return f == file })
		if len(r.Files) == 0 || path.Dir(r.Files[0]) != dir {
			return located{}
		}
		r.Files = append(r.Files, file)
	}
	loc, faults := spec.Locate(context.Background(), fsys, r)
	in := loc.Input(fsys)
	in.Purpose, in.Profiles, in.Remote = spec.ToShow, []string{"*"}, s.Remote
	return located{in, faults}
}

// load loads the project of file: as the file of a project, or as what overrides one, whichever has
// fewer faults: the one alone lacks what the other says.
func (s *server) load(ctx context.Context, file string) (located, *spec.Project, diag.List) {
	try := func(over bool) (located, *spec.Project, diag.List) {
		at := s.locate(file, over)
		if len(at.in.Files) == 0 {
			return at, nil, nil
		}
		p, list := spec.Load(ctx, at.in)
		return at, p, append(slices.Clone(at.faults), list...)
	}
	at, p, list := try(false)
	if p != nil || !overrides(file) {
		return at, p, list
	}
	if at2, p2, list2 := try(true); p2 != nil || len(at2.in.Files) > 0 && errorsOf(list2, file) < errorsOf(list, file) {
		return at2, p2, list2
	}
	return at, p, list
}

// overrides says whether a file's name is such as a file has that is read after another.
func overrides(file string) bool {
	name := path.Base(file)
	return !slices.Contains([]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}, name)
}

func errorsOf(list diag.List, file string) int {
	n := 0
	for _, d := range list {
		if d.Severity == diag.Error && (d.Subject == nil || d.Subject.Start.File == file) {
			n++
		}
	}
	return n
}

// namesOf are what completion offers of a project beside what the text has.
func namesOf(p *spec.Project) map[string][]string {
	names := map[string][]string{
		"services": slices.Collect(maps.Keys(p.Services)), "networks": slices.Collect(maps.Keys(p.Networks)), "volumes": slices.Collect(maps.Keys(p.Volumes)),
		"configs": slices.Collect(maps.Keys(p.Configs)), "secrets": slices.Collect(maps.Keys(p.Secrets)), "models": slices.Collect(maps.Keys(p.Models)),
	}
	for _, services := range []map[string]*spec.Service{p.Services, p.Inactive} {
		for _, s := range services {
			names["profiles"] = append(names["profiles"], s.Profiles...)
		}
	}
	return names
}

// textOf is a file's text, open or not.
func (s *server) textOf(file string) editor.Text {
	if d := s.open[file]; d != nil {
		return d.text
	}
	data, err := fs.ReadFile(s.FS, strings.TrimPrefix(file, "/"))
	if err != nil {
		return nil
	}
	return editor.NewText(string(data))
}

// toRunes is the column in runes of a character of the line.
func toRunes(line []rune, character int) int {
	units := 0
	for i, r := range line {
		if units >= character {
			return i
		}
		units += max(1, utf16.RuneLen(r))
	}
	return len(line)
}

// toUnits is the character of a column in runes of the line.
func toUnits(line []rune, column int) int {
	units := 0
	for _, r := range line[:min(max(column, 0), len(line))] {
		units += max(1, utf16.RuneLen(r))
	}
	return units
}
