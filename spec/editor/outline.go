package editor

import (
	"strconv"
	"strings"

	"github.com/stackrun/stack/schema"
)

// Text is the lines of a file.
type Text [][]rune

// NewText splits s into lines.
func NewText(s string) Text {
	var t Text
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		t = append(t, []rune(line))
	}
	return t
}

// Line is the i-th line, empty beyond the end.
func (t Text) Line(i int) []rune {
	if i < 0 || i >= len(t) {
		return nil
	}
	return t[i]
}

// part is a key or the dash of a list's element, and where on its line it starts.
type part struct {
	column int
	key    string // "" = an element of a list
	end    int    // behind the key, at its colon, or behind the dash
}

// partsOf are the dashes and the key that a line of block YAML starts with.
func partsOf(line []rune) []part {
	var out []part
	i := 0
	for {
		for i < len(line) && line[i] == ' ' {
			i++
		}
		if i >= len(line) || line[i] != '-' || i+1 < len(line) && line[i+1] != ' ' {
			break
		}
		if strings.HasPrefix(string(line[i:]), "---") {
			return nil
		}
		out = append(out, part{column: i, end: i + 1})
		i++
	}
	if key, end := keyAt(line, i); key != "" {
		out = append(out, part{column: i, key: key, end: end})
	}
	return out
}

// keyAt is the key that starts at i, if one does, and where its colon is.
func keyAt(line []rune, i int) (string, int) {
	if i >= len(line) || strings.ContainsRune("#[]{},&*!|>%@`", line[i]) {
		return "", 0
	}
	if q := line[i]; q == '"' || q == '\'' {
		for j := i + 1; j < len(line); j++ {
			if line[j] == q {
				if j+1 < len(line) && line[j+1] == ':' {
					return string(line[i+1 : j]), j + 1
				}
				return "", 0
			}
		}
		return "", 0
	}
	for j := i; j < len(line); j++ {
		switch {
		case line[j] == '#' && j > i && line[j-1] == ' ':
			return "", 0
		case line[j] == ':' && (j+1 == len(line) || line[j+1] == ' '):
			return strings.TrimSpace(string(line[i:j])), j
		}
	}
	return "", 0
}

// step is one part of an address: a key, or the index of an element.
type step struct {
	key   string
	index int
}

// address is where a place is in the file.
type address []step

// String is the address as the loader writes it: services.web.ports[0].
func (a address) String() string {
	var b strings.Builder
	for i, s := range a {
		switch {
		case s.key == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// node is the place of the language that a is at, nil when the language has none.
func (a address) node() *schema.Node {
	n := schema.Root()
	for _, s := range a {
		switch {
		case n == nil:
			return nil
		case s.key == "":
			n = n.Elem
		case n.Keys[s.key] != nil:
			n = n.Keys[s.key]
		default:
			n = n.Any
		}
	}
	return n
}

// above is the address of what contains a thing at the column of the line: the keys and elements
// that are less indented, upwards. What stands on the line itself counts when it is left of column.
func (t Text) above(line, column int) address {
	var up address // innermost first
	index := 0     // of the element under way
	inList := false
	add := func(p part) {
		if p.key == "" {
			up = append(up, step{})
			index, inList = 0, true
		} else {
			if inList {
				up[len(up)-1].index = index
			}
			up = append(up, step{key: p.key})
			inList = false
		}
		column = p.column
	}
	for i := line; i >= 0; i-- {
		parts := partsOf(t.Line(i))
		if i != line && strings.HasPrefix(string(t.Line(i)), "---") {
			break
		}
		for j := len(parts) - 1; j >= 0; j-- {
			p := parts[j]
			switch {
			case p.column < column:
				if inList && p.key == "" { // a list in a list
					up[len(up)-1].index = index
				}
				add(p)
			case p.column == column && inList && p.key == "" && i != line:
				index++
			case p.column == column && inList && p.key != "": // a list may stand below its key without indentation
				add(p)
			}
		}
		if column == 0 && !inList {
			break
		}
	}
	out := make(address, len(up))
	for i, s := range up {
		out[len(up)-1-i] = s
	}
	return out
}

// names are the keys below the top-level section, in order.
func (t Text) names(section string) []string {
	var out []string
	inside, indent := false, -1
	for i := range t {
		parts := partsOf(t[i])
		if len(parts) == 0 {
			continue
		}
		p := parts[0]
		switch {
		case p.key == "":
		case p.column == 0:
			inside, indent = p.key == section, -1
		case inside && (indent < 0 || p.column == indent):
			indent = p.column
			out = append(out, p.key)
		}
	}
	return out
}
