package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec/tree"
)

// extendAll resolves the extends of every service of doc. earlier is the model of
// the files before it, where a service may be found that doc itself does not have.
func (l *loader) extendAll(doc, earlier *tree.Node, file string, sc scope) {
	services := doc.Get("services")
	if services == nil || services.Kind != tree.Mapping {
		return
	}
	x := &extender{loader: l, sc: sc, done: map[*tree.Node]bool{}, open: map[*tree.Node]bool{}, files: map[string]place{}}
	for i := range services.Pairs {
		p := &services.Pairs[i]
		p.Value = x.extend(p.Key, p.Value, place{doc, earlier, file}, nil)
	}
}

type extender struct {
	*loader
	sc    scope
	done  map[*tree.Node]bool // resolved service bodies
	open  map[*tree.Node]bool // bodies under resolution
	files map[string]place    // other files, by what names them: many services extend one
}

// maxExtends bounds the chain of extends: a file that extends itself is read anew at
// each step and would never end.
const maxExtends = 32

// place is where the names of services are looked up.
type place struct {
	doc, earlier *tree.Node
	file         string
}

// extend gives the body of service key with its base merged under it.
func (x *extender) extend(key, body *tree.Node, at place, chain []string) *tree.Node {
	step := key.Value + " (" + key.Pos().String() + ")"
	again := slices.Contains(chain, step) // a file that is read anew at each step has other nodes of the same places
	chain = append(chain, step)
	if again || x.open[body] {
		x.err(CodeCycle, key, "extends: "+strings.Join(chain, " -> "), "remove one of these extends")
		return body
	}
	ext := body.Get("extends")
	if ext == nil || x.done[body] {
		return body
	}
	if len(chain) > maxExtends {
		x.err(CodeCycle, ext, fmt.Sprintf("extends: more than %d services or files in a row, from %s", maxExtends, chain[0]), "")
		return body
	}
	x.open[body] = true
	defer delete(x.open, body)
	name, file := ext, (*tree.Node)(nil)
	if ext.Kind == tree.Mapping {
		name, file = ext.Get("service"), ext.Get("file")
		for _, p := range ext.Pairs {
			if k := p.Key.Value; k != "service" && k != "file" {
				x.err(CodeUnknownKey, p.Key, fmt.Sprintf("%q in services.%s.extends", k, key.Value), suggest(k, []string{"service", "file"}))
			}
		}
	}
	body.Delete("extends")
	if name.IsNull() || name.Kind != tree.Scalar {
		x.err(CodeMissing, ext, fmt.Sprintf("services.%s.extends needs the name of a service", key.Value), "write extends: {service: NAME}")
		return body
	}
	from := at
	if !file.IsNull() {
		var ok bool
		if from, ok = x.other(file); !ok {
			return body
		}
	}
	pair := from.doc.Get("services").Pair(name.Value)
	if pair == nil && from.earlier != nil {
		pair = from.earlier.Get("services").Pair(name.Value)
	}
	if pair == nil {
		var names []string
		if s := from.doc.Get("services"); s != nil && x.mayCompare(len(s.Pairs)) {
			for _, p := range s.Pairs {
				names = append(names, p.Key.Value)
			}
		}
		x.err(CodeUndefined, name, fmt.Sprintf("services.%s extends %q, which %s does not have", key.Value, name.Value, from.file), suggest(name.Value, names))
		return body
	}
	base := x.extend(pair.Key, pair.Value, from, chain)
	pair.Value = base
	if base.Kind != tree.Mapping || body.Kind != tree.Mapping {
		return body
	}
	if x.values > maxValues || !x.spend(count(base), ext) {
		return body
	}
	base = base.Clone()
	x.trail.brought(base, "extends", ext)
	merged := x.join(base, body, schema.At("services.*"), "services."+key.Value)
	x.done[merged] = true
	return merged
}

// other reads the file that an extends names. Its relative paths, those of its own
// extends among them, are relative to it.
func (x *extender) other(file *tree.Node) (place, bool) {
	if file.Kind != tree.Scalar {
		x.err(CodeType, file, "extends.file: expected a path but got "+file.What(), "")
		return place{}, false
	}
	if p, read := x.files[file.Value]; read && p.doc != nil {
		return p, true
	}
	if x.literal {
		x.interpolate(file, x.sc)
	}
	name, ok := x.fileOf(file, "extends.file", x.sc.dir)
	if !ok {
		return place{}, false
	}
	src, ok := x.parse(name, file)
	if !ok {
		return place{}, false
	}
	dir := path.Dir(name)
	var doc *tree.Node
	for _, d := range src.docs {
		if !x.literal {
			x.interpolate(d, x.sc)
		}
		rebase(d, x.base(dir, x.sc), x.env["HOME"])
		if doc == nil {
			doc = d
		} else {
			doc = x.join(doc, d, schema.Root(), "")
		}
	}
	p := place{doc: doc, file: name}
	x.files[file.Value] = p
	return p, true
}
