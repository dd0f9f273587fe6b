package spec

import (
	"fmt"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/tree"
)

// interpolate substitutes variables in every value below n, never in keys.
func (l *loader) interpolate(n *tree.Node, sc scope) {
	if n == nil {
		return
	}
	for _, p := range n.Pairs {
		l.interpolate(p.Value, sc)
	}
	for _, it := range n.Items {
		l.interpolate(it, sc)
	}
	if n.Kind != tree.Scalar || n.Type != tree.String {
		return
	}
	text, missing, err := interp.Expand(n.Value, l.trail.watch(n, sc))
	for _, m := range missing {
		if l.Count(diag.Warning) {
			continue
		}
		l.at(diag.Warning, CodeUnset, l.inside(n, m.Offset), fmt.Sprintf("%s is not set and has no default; it is empty", m.Name), fmt.Sprintf("set it, or write ${%s:-default}", m.Name))
	}
	switch {
	case err == nil:
	case l.Count(diag.Error):
		return
	case err.Required != "":
		l.at(diag.Error, CodeRequired, l.inside(n, err.Offset), err.Message, fmt.Sprintf("set %s in the environment or in .env", err.Required))
		return
	default:
		l.at(diag.Error, CodeInterpolate, l.inside(n, err.Offset), err.Message, "write $$ for a dollar sign")
		return
	}
	if text != n.Value {
		n.Value, n.Interpolated = text, true
	}
}
