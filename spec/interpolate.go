package spec

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/tree"
)

// interpolate substitutes variables in every value below n, never in keys.
func (l *loader) interpolate(n *tree.Node, sc scope) {
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
		l.at(diag.Warning, CodeUnset, l.inside(n, m.Offset), fmt.Sprintf("%s is not set and has no default; it is empty", m.Name), fmt.Sprintf("set it, or write ${%s:-default}", m.Name))
	}
	switch {
	case err == nil:
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

// inside is the place of the dollar sign at offset of n's text. Quotes, escapes and
// block indentation make text and file differ, but both have the same dollar
// signs in the same order: the place is that of the same one counted from n's start.
func (l *loader) inside(n *tree.Node, offset int) diag.Pos {
	nth := bytes.Count([]byte(n.Value[:offset]), []byte("$"))
	at := n.Pos()
	data := l.text[n.File]
	for line := 1; line < at.Line; line++ {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return at
		}
		data = data[i+1:]
	}
	line, col := at.Line, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line, col = line+1, 0
		case r == '$' && (line > at.Line || col >= at.Column):
			if nth == 0 {
				return diag.Pos{File: at.File, Line: line, Column: col}
			}
			nth--
		}
		col++
		data = data[size:]
	}
	return at
}
