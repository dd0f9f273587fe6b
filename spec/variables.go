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
// it is required when one use says so. Included and extended files are not read.
func Variables(ctx context.Context, in Input) ([]interp.Variable, diag.List) {
	l := &loader{ctx: ctx, in: in, text: map[string]*text{}, env: in.Env}
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
	for _, f := range l.parseAll(in.Files) {
		for _, doc := range f.docs {
			walk(doc)
		}
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
