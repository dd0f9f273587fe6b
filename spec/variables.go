package spec

import (
	"context"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/tree"
)

// Variables lists what the files of in refer to, by name, without substituting
// anything. Of several uses of a variable the first with a default or alternate tells it;
// it is required when one use says so. Of a file that is extended only the services that are do count.
func Variables(ctx context.Context, in Input) ([]interp.Variable, diag.List) {
	l := newLoader(ctx, in)
	l.literal = true
	found := map[string]*interp.Variable{}
	var walk func(n *tree.Node)
	walk = func(n *tree.Node) {
		for _, p := range n.Pairs {
			walk(p.Value)
		}
		for _, it := range n.Items {
			walk(it)
		}
		if n.Kind != tree.Scalar || n.Type != tree.String {
			return
		}
		for _, v := range interp.Variables(n.Value) {
			old := found[v.Name]
			if old == nil {
				found[v.Name] = &v
				continue
			}
			old.Required = old.Required || v.Required
			if old.Default == "" {
				old.Default = v.Default
			}
			if old.Alternate == "" {
				old.Alternate = v.Alternate
			}
		}
	}
	files := l.parseAll(in.Files)
	for _, f := range files {
		for _, doc := range f.docs {
			walk(doc) // its own include has gone from the model
		}
	}
	if l.HasErrors() {
		return nil, l.List()
	}
	if model := l.model(files, scope{dir: in.Dir, lookup: l.lookup, from: l.definedAt}); model != nil {
		walk(model)
	}
	if l.HasErrors() {
		return nil, l.List()
	}
	var out []interp.Variable
	for _, v := range found {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b interp.Variable) int { return strings.Compare(a.Name, b.Name) })
	return out, l.List()
}
