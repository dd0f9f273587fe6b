package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
	"github.com/stackrun/stack/spec/tree"
)

// maxIncludes bounds how deep files may include files.
const maxIncludes = 50

// include loads what doc includes and merges doc over it.
func (l *loader) include(doc *tree.Node, sc scope) *tree.Node {
	list := doc.Get("include")
	doc.Delete("include")
	if list.IsNull() {
		return doc
	}
	if list.Kind != tree.Sequence {
		l.err(CodeType, list, "include: expected a list but got "+list.What(), slip(list, "a list"))
		return doc
	}
	// What is there overrides what comes in: the file what it includes, and what is included first what is included after it.
	for _, it := range list.Items {
		sub := l.included(it, sc)
		if sub == nil {
			continue
		}
		sub.Pairs = slices.DeleteFunc(sub.Pairs, func(p tree.Pair) bool { return remains(p.Key.Value) })
		doc = l.merge(sub, doc)
	}
	return doc
}

// remains says whether a top-level key is of the included file alone: an include brings services and what they use.
func remains(key string) bool {
	return key == "name" || key == "version" || strings.HasPrefix(key, "x-")
}

func (l *loader) included(n *tree.Node, sc scope) *tree.Node {
	paths, dirNode, envNode := n, (*tree.Node)(nil), (*tree.Node)(nil)
	if n.Kind == tree.Mapping {
		for _, p := range n.Pairs {
			switch p.Key.Value {
			case "path", "project_directory", "env_file":
			default:
				l.err(CodeUnknownKey, p.Key, "\""+p.Key.Value+"\" in include", suggest(p.Key.Value, []string{"path", "project_directory", "env_file"}))
			}
		}
		paths, dirNode, envNode = n.Get("path"), n.Get("project_directory"), n.Get("env_file")
	}
	names, ok := l.texts(paths)
	if !ok || len(names) == 0 {
		l.err(CodeMissing, n, "include needs the path of a file", "write include: [other.yaml]")
		return nil
	}
	home := l.env["HOME"]
	var files []source
	for _, name := range names {
		file, ok := l.fileOf(name, "include", sc.dir)
		if !ok {
			continue
		}
		if slices.Contains(l.chain, file) || len(l.chain) > maxIncludes {
			l.err(CodeCycle, name, "include: "+strings.Join(append(slices.Clone(l.chain), file), " -> "), "")
			continue
		}
		if src, ok := l.parse(file, name); ok {
			files = append(files, src)
		}
	}
	if len(files) < len(names) {
		return nil
	}
	first := files[0].file
	dir := path.Dir(first)
	if !dirNode.IsNull() && (dirNode.Kind != tree.Scalar || dirNode.Type != tree.String) {
		l.err(CodeType, dirNode, "include.project_directory: expected a path but got "+dirNode.What(), "")
		return nil
	}
	if !dirNode.IsNull() {
		dir = absolute(sc.dir, dirNode.Value, home)
	}
	inner, ok := l.includeEnv(envNode, dir, sc)
	if !ok {
		return nil
	}
	depth := len(l.chain)
	for _, f := range files {
		l.chain = append(l.chain, f.file)
	}
	sub := l.model(files, inner)
	l.chain = l.chain[:depth]
	if sub != nil {
		rebase(sub, l.base(dir, sc), home)
		l.trail.brought(sub, "include", n)
	}
	return sub
}

// includeEnv gives what an included file is read with, its variables above all: those around it, then the
// defaults of its own env files.
func (l *loader) includeEnv(n *tree.Node, dir string, sc scope) (scope, bool) {
	own, from := map[string]string{}, map[string]diag.Pos{}
	lookup := func(name string) (string, bool) {
		if v, ok := sc.lookup(name); ok {
			return v, true
		}
		v, ok := own[name]
		return v, ok
	}
	var files []string
	if n.IsNull() {
		if f := path.Join(dir, ".env"); exists(l.in.FS, f) {
			files = append(files, f)
		}
	} else {
		nodes, ok := l.texts(n)
		if !ok {
			l.err(CodeType, n, "include.env_file: expected a path or a list of paths", "")
			return sc, false
		}
		for _, it := range nodes {
			files = append(files, absolute(sc.dir, it.Value, l.env["HOME"]))
		}
	}
	whole := true
	for _, f := range files {
		entries, ok := l.readEnvFile(f, n, false, "", lookup)
		whole = whole && ok
		for _, e := range entries {
			own[e.Key], from[e.Key] = e.Value, diag.Pos{File: f, Line: e.Line}
		}
	}
	if !whole {
		return sc, false
	}
	return scope{dir: dir, lookup: lookup, from: func(name string) diag.Pos {
		if _, outer := sc.lookup(name); outer {
			return sc.from(name)
		}
		return from[name]
	}}, true
}

// readEnvFile reads one env file; by is the node that names it, hint the fix when it cannot be read.
func (l *loader) readEnvFile(file string, by *tree.Node, raw bool, hint string, lookup func(string) (string, bool)) ([]dotenv.Entry, bool) {
	if by != nil && !l.mayRead(by, "env file", file) {
		return nil, false
	}
	if l.broken[file] || l.values > maxValues {
		return nil, false
	}
	data, err := readFile(l.in.FS, file, tree.MaxFile)
	if err != nil {
		l.err(CodeRead, by, file+": "+err.Error(), hint)
		return nil, false
	}
	entries, ok := l.parseEnv(file, data, raw, lookup)
	if !ok {
		l.broken[file] = true
		return nil, false
	}
	return entries, l.spend(len(entries), by)
}

// texts are the scalars of a string or a list of strings.
func (l *loader) texts(n *tree.Node) ([]*tree.Node, bool) {
	switch {
	case n.IsNull():
		return nil, true
	case n.Kind == tree.Scalar:
		return []*tree.Node{n}, n.Type == tree.String
	case n.Kind == tree.Mapping:
		return nil, false
	}
	for _, it := range n.Items {
		if it.Kind != tree.Scalar || it.Type != tree.String {
			return nil, false
		}
	}
	return n.Items, true
}
