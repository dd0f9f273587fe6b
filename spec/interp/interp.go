// Package interp substitutes variables in the values of a Compose file:
// https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
//
//	$V ${V}      value, empty with a warning when unset
//	${V:-word}   word when V is unset or empty        ${V-word}  when unset
//	${V:?word}   fault when V is unset or empty       ${V?word}  when unset
//	${V:+word}   word when V is set and not empty     ${V+word}  when set
//	$$           a dollar sign
//
// Words nest. What is substituted is not looked at again.
package interp

import (
	"fmt"
	"strings"
)

// Lookup gives the value of a variable and whether it is set.
type Lookup func(name string) (string, bool)

// Missing is a use of a variable that is not set and has no default.
type Missing struct {
	Name   string
	Offset int // in bytes, of the $
}

// Error is a reference that is not well formed, or a required variable that has no value.
type Error struct {
	Offset   int    // in bytes, of the $
	Required string // the variable, when it is required and has no value
	Message  string
}

func (e *Error) Error() string { return e.Message }

// maxDepth bounds the nesting of words.
const maxDepth = 32

// Expand substitutes the variables of text.
func Expand(text string, lookup Lookup) (string, []Missing, *Error) {
	if strings.IndexByte(text, '$') < 0 {
		return text, nil, nil
	}
	x := expander{lookup: lookup}
	out, err := x.expand(text, 0, 0)
	return out, x.missing, err
}

type expander struct {
	lookup  Lookup
	missing []Missing
}

func (x *expander) expand(text string, base, depth int) (string, *Error) {
	var b strings.Builder
	for i := 0; i < len(text); {
		j := strings.IndexByte(text[i:], '$')
		if j < 0 {
			b.WriteString(text[i:])
			break
		}
		b.WriteString(text[i : i+j])
		i += j
		ref, n, err := scan(text[i:])
		if err != nil {
			err.Offset += base + i
			return "", err
		}
		switch {
		case n == 0: // a $ that starts nothing stands for itself
			b.WriteByte('$')
			n = 1
		case ref == nil: // $$
			b.WriteByte('$')
		default:
			v, err := x.value(ref, base+i, depth)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
		}
		i += n
	}
	return b.String(), nil
}

// reference is one ${…} or $name.
type reference struct {
	name  string
	op    string // "", ":-", "-", ":?", "?", ":+", "+"
	word  string
	wordi int // offset of word from the $
}

func (x *expander) value(r *reference, at, depth int) (string, *Error) {
	if depth > maxDepth {
		return "", &Error{Offset: at, Message: fmt.Sprintf("more than %d references inside each other", maxDepth)}
	}
	v, set := x.lookup(r.name)
	word := func() (string, *Error) { return x.expand(r.word, at+r.wordi, depth+1) }
	switch r.op {
	case ":-":
		if !set || v == "" {
			return word()
		}
	case "-":
		if !set {
			return word()
		}
	case ":+":
		if set && v != "" {
			return word()
		}
		return "", nil
	case "+":
		if set {
			return word()
		}
		return "", nil
	case ":?", "?":
		if !set || v == "" && r.op == ":?" {
			why, err := word()
			if err != nil {
				return "", err
			}
			msg := fmt.Sprintf("required variable %s is missing a value", r.name)
			if why != "" {
				msg += ": " + why
			}
			return "", &Error{Offset: at, Required: r.name, Message: msg}
		}
	default:
		if !set {
			x.missing = append(x.missing, Missing{r.name, at})
		}
	}
	return v, nil
}

// scan reads the reference at the start of s, which begins with $. It returns its
// length; 0 when the $ stands for itself; a nil reference for $$.
func scan(s string) (*reference, int, *Error) {
	if len(s) == 1 {
		return nil, 0, nil
	}
	switch c := s[1]; {
	case c == '$':
		return nil, 2, nil
	case nameStart(c):
		n := 1 + nameLen(s[1:])
		return &reference{name: s[1:n]}, n, nil
	case c != '{':
		return nil, 0, nil
	}
	end := closing(s)
	if end < 0 {
		return nil, 0, &Error{Message: "${ has no closing }"}
	}
	body := s[2:end]
	n := 0
	if body != "" && nameStart(body[0]) {
		n = nameLen(body)
	}
	if n == 0 {
		return nil, 0, &Error{Message: fmt.Sprintf("%s does not name a variable", s[:end+1])}
	}
	r := &reference{name: body[:n]}
	rest := body[n:]
	switch {
	case rest == "":
	case len(rest) > 1 && rest[0] == ':' && strings.IndexByte("-?+", rest[1]) >= 0:
		r.op, r.word, r.wordi = rest[:2], rest[2:], 2+n+2
	case strings.IndexByte("-?+", rest[0]) >= 0:
		r.op, r.word, r.wordi = rest[:1], rest[1:], 2+n+1
	default:
		return nil, 0, &Error{Message: fmt.Sprintf("%s: %q may not follow the name %s", s[:end+1], rest, r.name)}
	}
	return r, end + 1, nil
}

// closing finds the } of the ${ at the start of s, counting braces.
func closing(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func nameStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func nameLen(s string) int {
	n := 0
	for n < len(s) && (nameStart(s[n]) || n > 0 && '0' <= s[n] && s[n] <= '9') {
		n++
	}
	return n
}

// Escape doubles every dollar sign, so that Expand gives s back.
func Escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// Variable is one variable that a text refers to.
type Variable struct {
	Name      string
	Required  bool
	Default   string // of :- and -
	Alternate string // of :+ and +
}

// Variables lists what text refers to, the words of operators included; what is not well formed is skipped.
func Variables(text string) []Variable {
	return variables(text, 0, nil)
}

func variables(text string, depth int, into []Variable) []Variable {
	for i := 0; depth <= maxDepth && i < len(text); {
		j := strings.IndexByte(text[i:], '$')
		if j < 0 {
			break
		}
		i += j
		r, n, err := scan(text[i:])
		if err != nil || n == 0 {
			i++
			continue
		}
		i += n
		if r == nil {
			continue
		}
		v := Variable{Name: r.name, Required: strings.HasSuffix(r.op, "?")}
		switch r.op {
		case ":-", "-":
			v.Default = r.word
		case ":+", "+":
			v.Alternate = r.word
		}
		into = variables(r.word, depth+1, append(into, v))
	}
	return into
}
