package editor

import (
	"fmt"
	"path"
	"strings"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/redact"
)

// Spot is what stands at a place.
type Spot struct {
	Path     spec.Path    // the address of the value, "" when it is not in the model
	Variable string       // the variable that the cursor is on
	Node     *schema.Node // nil when the language has no such place
	From, To int          // the columns of the key, the element or the variable
}

// At is what stands where the cursor is, nil for nothing: a comment, an empty line.
func At(t Text, line, column int) *Spot {
	text := t.Line(line)
	if name, from, to := variableAround(text, column); name != "" {
		return &Spot{Variable: name, From: from, To: to}
	}
	parts := partsOf(text)
	if len(parts) == 0 {
		return nil
	}
	first := parts[0]
	last := parts[len(parts)-1]
	if column < first.column {
		return nil
	}
	at := t.above(line, last.column)
	if last.key == "" { // an element that is a text
		at = t.above(line, last.column+1)
		return &Spot{Path: spec.Path(at.String()), Node: elementOf(at), From: last.column, To: len(text)}
	}
	at = append(at, step{key: last.key})
	return &Spot{Path: spec.Path(at.String()), Node: named(at), From: last.column, To: last.end}
}

// named is the place of a, or, when its name is the author's own as that of a variable in environment is, what it is an entry of.
func named(a address) *schema.Node {
	n := a.node()
	if around := a[:len(a)-1].node(); n == nil && around != nil && around.Attribute != nil && around.Keys == nil {
		return around
	}
	return n
}

// elementOf is the place of an element, or of its list when elements have no place of their own.
func elementOf(a address) *schema.Node {
	if n := a.node(); n != nil && n.Attribute != nil {
		return n
	}
	return a[:len(a)-1].node()
}

// variableAround is the name of the variable of a reference that column is in.
func variableAround(line []rune, column int) (name string, from, to int) {
	for i := 0; i < len(line) && i <= column; i++ {
		if line[i] != '$' {
			continue
		}
		if i+1 < len(line) && line[i+1] == '$' {
			i++
			continue
		}
		j := i + 1
		if j < len(line) && line[j] == '{' {
			j++
		}
		end := j
		for end < len(line) && (line[end] == '_' || line[end] >= '0' && line[end] <= '9' || line[end]|0x20 >= 'a' && line[end]|0x20 <= 'z') {
			end++
		}
		if end > j && column <= end {
			return string(line[j:end]), i, end
		}
	}
	return "", 0, 0
}

// Describe is what the attribute at s is, as Markdown; "" when the language has nothing there.
func (s *Spot) Describe() string {
	n := s.Node
	if n == nil || n.About == nil {
		return ""
	}
	var b strings.Builder
	name := n.About.Path
	if n.Attribute != nil {
		name = strings.TrimPrefix(n.Path, "services.*.")
	}
	fmt.Fprintf(&b, "**%s** (%s)\n\n%s", name, n.About.Form, n.About.Text)
	if words := n.About.Values; len(words) > 0 {
		b.WriteString("\n\nValues: `" + strings.Join(words, "`, `") + "`")
	}
	if why := effect(n); why != "" {
		b.WriteString("\n\n" + why)
	}
	return b.String()
}

// maxOrigins bounds what a hover tells of an object's values.
const maxOrigins = 8

// Provenance tells, as Markdown, where values come from. Secrets are hidden. Files are shown relative to dir.
func Provenance(origins []spec.Origin, dir string) string {
	var b strings.Builder
	for i, o := range origins {
		if i == maxOrigins {
			fmt.Fprintf(&b, "\n\n… and %d more", len(origins)-i)
			break
		}
		o = o.Redacted()
		if o.Reset {
			fmt.Fprintf(&b, "\n\n`%s` is taken out at %s", o.Path, place(o.At, dir))
		} else {
			fmt.Fprintf(&b, "\n\n`%s` = `%s`\n- from %s", o.Path, o.Value, place(o.At, dir))
		}
		if o.Written != "" {
			fmt.Fprintf(&b, ", written `%s`", o.Written)
		}
		for _, v := range o.Variables {
			fmt.Fprintf(&b, "\n- variable %s", variable(v, dir))
		}
		for _, s := range o.Through {
			fmt.Fprintf(&b, "\n- through %s at %s", s.What, place(s.At, dir))
		}
		for _, was := range o.Overrides {
			fmt.Fprintf(&b, "\n- overrides `%s` at %s", was.Value, place(was.At, dir))
		}
	}
	return strings.TrimSpace(b.String())
}

func variable(v spec.Variable, dir string) string {
	switch {
	case !v.Set:
		return "`" + v.Name + "`, which is not set"
	case v.From == nil:
		return fmt.Sprintf("`%s` = `%s`, from the environment", v.Name, v.Value)
	}
	return fmt.Sprintf("`%s` = `%s`, from %s", v.Name, v.Value, place(*v.From, dir))
}

// DescribeVariable tells what the variable name is. The value of one with a telling name is hidden.
func DescribeVariable(name string, env map[string]string, from map[string]diag.Pos, dir string) string {
	v := spec.Variable{Name: name}
	if v.Value, v.Set = env[name]; v.Set {
		if redact.Name(name) || redact.Value(v.Value) {
			v.Value = redact.Hidden
		}
		if pos, ok := from[name]; ok {
			v.From = &pos
		}
	}
	return "variable " + variable(v, dir)
}

func place(p diag.Pos, dir string) string {
	if path.Dir(p.File) == dir {
		p.File = path.Base(p.File)
	}
	return p.String()
}
