package spec

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/tree"
)

// text is a file that was read, for places inside of its scalars. They are asked for in the order of the file, and a file can
// have tens of thousands on one line: it is not read from its start for each.
type text struct {
	data  []byte
	lines []int // where each begins

	line, column, offset int // the last place that was found, 1:1 at 0 to begin with
}

func newText(data []byte) *text { return &text{data: data, line: 1, column: 1} }

// seek goes to a place; false when the file has none such.
func (t *text) seek(line, column int) bool {
	if t.lines == nil {
		t.lines = []int{0}
		for i, c := range t.data {
			if c == '\n' {
				t.lines = append(t.lines, i+1)
			}
		}
	}
	if line < 1 || line > len(t.lines) {
		return false
	}
	if line != t.line || column < t.column {
		t.line, t.column, t.offset = line, 1, t.lines[line-1]
	}
	for t.column < column {
		r, size := utf8.DecodeRune(t.data[t.offset:])
		if size == 0 || r == '\n' {
			return false
		}
		t.column, t.offset = t.column+1, t.offset+size
	}
	return true
}

// inside is the place of the dollar sign at offset of n's text. Quotes, escapes and
// block indentation make text and file differ, but both have the same dollar
// signs in the same order: the place is that of the same one counted from n's start.
func (l *loader) inside(n *tree.Node, offset int) diag.Pos {
	at := n.Pos()
	t := l.text[n.File]
	if t == nil || !t.seek(at.Line, at.Column) {
		return at
	}
	nth := strings.Count(n.Value[:offset], "$")
	rest, line, column := t.data[t.offset:], at.Line, at.Column
	for {
		i := bytes.IndexByte(rest, '$')
		if i < 0 {
			return at
		}
		if lines := bytes.Count(rest[:i], []byte("\n")); lines > 0 {
			line, column = line+lines, 1+utf8.RuneCount(rest[bytes.LastIndexByte(rest[:i], '\n')+1:i])
		} else {
			column += utf8.RuneCount(rest[:i])
		}
		if nth == 0 {
			return diag.Pos{File: at.File, Line: line, Column: column}
		}
		nth, rest, column = nth-1, rest[i+1:], column+1
	}
}
