package spec

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/tree"
)

// Stdin stands for the standard input among Input.Files.
const Stdin = "-"

// Input is everything that Load looks at. Locate makes one as docker compose would.
type Input struct {
	FS       fs.FS               // rooted at "/"
	Files    []string            // absolute paths or Stdin, in order; later ones override
	Fetched  []string            // directories of those of Files that were fetched: they name no file beyond these
	Dir      string              // absolute: the project directory
	NameDir  string              // absolute: the directory that names the project when nothing else does, "" = Dir
	Env      map[string]string   // variables: the process environment and .env, already joined
	EnvFrom  map[string]diag.Pos // where variables of env files are defined; only Explain looks
	Profiles []string            // active profiles; "*" is all of them
	Services []string            // named on the command line: their profiles become active
	Name     string              // project name when it is not the file's to say
	Isolated string              // what tells this directory's project from others of its name; part of Name already; "" = nothing
	Stdin    []byte              // the content of Stdin
	Purpose  Purpose             // how fit the project must be
	Remote   Fetcher             // brings remote files; nil refuses them
	Raw      Raw                 // what is left as written

	AllResources bool // networks, volumes, configs, secrets and models that no service uses are part of the project too
}

// Load reads the files of in and gives the project they describe. All faults of a
// pass are reported, sorted by place; the project is nil when one of them is an
// error. Load does no I/O but through in.FS and in.Remote.
func Load(ctx context.Context, in Input) (*Project, diag.List) {
	return newLoader(ctx, in).run()
}

func newLoader(ctx context.Context, in Input) *loader {
	l := &loader{ctx: ctx, in: in, text: map[string]*text{}, broken: map[string]bool{}, env: maps.Clone(in.Env), fetched: slices.Clone(in.Fetched)}
	if l.env == nil {
		l.env = map[string]string{}
	}
	return l
}

func (l *loader) run() (*Project, diag.List) {
	p := l.load()
	if l.HasErrors() {
		return nil, l.List()
	}
	return p, l.List()
}

// loader is one call of Load.
type loader struct {
	faults
	ctx     context.Context
	in      Input
	env     map[string]string
	broken  map[string]bool  // env files whose faults are told
	text    map[string]*text // files read so far, for columns inside of scalars
	project string           // its name
	chain   []string         // files whose include or extends is being resolved
	owner   owner            // the object under work
	limits  []limit
	fetched []string // directories of remote files
	files   int      // reads so far
	values  int      // values so far
	trail   *trail   // nil = nobody asks where values come from
	literal bool     // variables are left as they are
}

func (l *loader) lookup(name string) (string, bool) {
	v, ok := l.env[name]
	return v, ok
}

func (l *loader) load() *Project {
	if len(l.in.Files) == 0 {
		l.err(CodeNoFile, nil, "not found", "name one with -f, or write a compose.yaml")
		return nil
	}
	files := l.parseAll(l.in.Files)
	if l.HasErrors() {
		return nil
	}
	l.nameProject(files)
	l.env["COMPOSE_PROJECT_NAME"] = l.project
	model := l.model(files, scope{dir: l.in.Dir, lookup: l.lookup, from: l.definedAt})
	if l.HasErrors() {
		return nil
	}
	if model == nil {
		l.empty(files)
		return nil
	}
	setPaths(model, "")
	l.trail.keep(model)
	l.checkKeys(model)
	p := l.decode(model)
	if l.HasErrors() {
		return nil
	}
	return p
}

// source is one file and its documents.
type source struct {
	file string
	docs []*tree.Node
}

func (l *loader) parseAll(files []string) []source {
	var out []source
	for _, file := range files {
		if s, ok := l.parse(file, nil); ok {
			out = append(out, s)
		}
	}
	return out
}

// parse reads one file. by is the node that names the file, nil for the command line.
func (l *loader) parse(file string, by *tree.Node) (source, bool) {
	if err := l.ctx.Err(); err != nil {
		l.err(CodeRead, by, err.Error(), "")
		return source{}, false
	}
	if l.values > maxValues {
		return source{}, false
	}
	data, name := l.in.Stdin, "<stdin>"
	if file != Stdin {
		name = file
		var err error
		if data, err = readFile(l.in.FS, file, tree.MaxFile); err != nil {
			if by != nil {
				l.err(CodeRead, by, file+": "+err.Error(), "")
			} else {
				l.at(diag.Error, CodeRead, diag.Pos{File: file}, err.Error(), "")
			}
			return source{}, false
		}
	}
	l.text[name] = newText(data)
	if l.files++; l.files > maxFiles {
		return source{}, l.spend(maxValues, by)
	}
	parse := tree.Parse
	if l.trail != nil {
		parse = tree.ParseTraced
	}
	docs, list := parse(name, data)
	l.Join(list)
	if list.HasErrors() {
		return source{}, false
	}
	for _, d := range docs {
		if d.Kind != tree.Mapping {
			l.err(CodeType, d, "expected a mapping at the top of the file but got "+d.What(), "")
			return source{}, false
		}
		if !l.spend(count(d), by) {
			return source{}, false
		}
	}
	return source{name, docs}, true
}

// Bounds of a load. A line of an env file is a value too. A file that is included twice by a file that is included twice, and so on, is read without end;
// so is a service whose base is as large as a file may be, copied for each that extends it.
const (
	maxFiles  = 5_000   // reads of files, the same file each time anew
	maxValues = 400_000 // in all files and copies; a value takes some 250 bytes

	valuesOfService = 10 // what a service takes besides its values
)

// spend counts n more values towards the bound; by is the node that brings them, nil for the command line. When
// there are too many it says so, once, and everything after it is refused.
func (l *loader) spend(n int, by *tree.Node) bool {
	before := l.values
	if l.values += n; l.values <= maxValues {
		return true
	}
	if before <= maxValues {
		l.err(CodeTooLarge, by, fmt.Sprintf("more than %d values, where a service counts as %d and each of its values, or %d files", maxValues, valuesOfService, maxFiles), "split the project, or do not include the same file again and again")
	}
	return false
}

// nameProject decides the name: the caller's, else the last name: of the files,
// else the directory's.
func (l *loader) nameProject(files []source) {
	l.project = l.in.Name
	if l.project != "" {
		return
	}
	for _, f := range files {
		for _, d := range f.docs {
			n := d.Get("name")
			if n.IsNull() || n.Kind != tree.Scalar {
				continue
			}
			// Faults of the value are reported with those of all others.
			if text, _, err := interp.Expand(n.Value, l.lookup); err == nil && text != "" {
				if l.project = NormalName(text); l.project == "" {
					l.err(CodeName, n, "project name must not be empty", "use lower-case letters, digits, - and _")
				}
			}
		}
	}
	dir := cmp.Or(l.in.NameDir, l.in.Dir)
	if l.project == "" {
		l.project = NormalName(path.Base(dir))
	}
	if l.project != "" {
		l.project = isolatedName(l.project, l.in.Isolated)
	}
	if l.project == "" {
		l.err(CodeName, nil, "project name must not be empty: the directory "+dir+" gives none", "name the project with -p or with a top-level name")
	}
}

// NormalName is s as a project name: lower case, only [a-z0-9_-], not starting
// with - or _. It may be empty.
func NormalName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-':
			return r
		}
		return -1
	}, s)
	return strings.TrimLeft(s, "_-")
}

// scope is what a group of files is read with.
type scope struct {
	dir    string // base of relative paths
	lookup interp.Lookup
	from   func(name string) diag.Pos // where a variable is defined
}

// empty refuses files that say nothing. One of several may: an override of which all lines are comments.
func (l *loader) empty(files []source) {
	l.at(diag.Error, CodeEmpty, diag.Pos{File: files[0].file}, "it has no services", "")
}

// model reads the documents of files into one: interpolate, include, extend, merge.
func (l *loader) model(files []source, sc scope) *tree.Node {
	var model *tree.Node
	depth := len(l.chain)
	for _, f := range files {
		if l.chain = l.chain[:depth]; !slices.Contains(l.chain, f.file) {
			l.chain = append(l.chain, f.file)
		}
		for _, doc := range f.docs {
			if l.literal {
				l.interpolate(doc.Get("include"), sc) // files are found by what their names are
			} else {
				l.interpolate(doc, sc)
			}
			doc = l.include(doc, sc)
			l.extendAll(doc, model, f.file, sc)
			if model == nil {
				model = doc
				continue
			}
			model = l.merge(model, doc)
		}
	}
	l.chain = l.chain[:depth]
	l.trail.resets(model, "")
	dropResets(model)
	return model
}

// setPaths gives every node its address in the model.
func setPaths(n *tree.Node, at string) {
	n.Path = at
	prefix := at
	if prefix != "" {
		prefix += "."
	}
	for _, p := range n.Pairs {
		p.Key.Path = prefix + p.Key.Value
		setPaths(p.Value, p.Key.Path)
	}
	for i, it := range n.Items {
		setPaths(it, at+"["+itoa(i)+"]")
	}
}

// count is the number of places below n: a map that grows by doubling costs a tenth of a load.
func count(n *tree.Node) int {
	c := len(n.Pairs) + len(n.Items)
	for _, p := range n.Pairs {
		c += count(p.Value)
	}
	for _, it := range n.Items {
		c += count(it)
	}
	return c
}

// sourcesOf is the place of every value of the model.
func sourcesOf(model *tree.Node) Sources {
	s := make(Sources, count(model))
	var walk func(n *tree.Node)
	walk = func(n *tree.Node) {
		for _, p := range n.Pairs {
			if p.Value.Kind == tree.Scalar {
				s[Path(p.Key.Path)] = p.Value.Range()
			} else {
				s[Path(p.Key.Path)] = p.Key.Range()
			}
			walk(p.Value)
		}
		for _, it := range n.Items {
			s[Path(it.Path)] = it.Range()
			walk(it)
		}
	}
	walk(model)
	return s
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
