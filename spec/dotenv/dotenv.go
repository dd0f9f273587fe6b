// Package dotenv reads .env files and env_file entries in the two grammars that
// Compose has: its own (quotes, escapes, interpolation) and "raw", which is that
// of docker run --env-file. It is pure.
package dotenv

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stackrun/stack/spec/interp"
)

// Entry is one variable. A line with only a name gives the value that the
// environment has for it, and no entry when it has none.
type Entry struct {
	Key   string
	Value string
	Line  int
}

// Error is a fault of the file. The line that it is on is left out, and reading goes on with the next.
type Error struct {
	Line    int
	Column  int // in runes, from 1; 0 = not known
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Warning is a variable that a value refers to and that is not set.
type Warning struct {
	Line   int
	Column int // of the value
	Name   string
}

// maxFaults ends the reading of what is no env file at all.
const maxFaults = 999

// tooMany is the last fault of a file that has maxFaults.
func tooMany(line int) *Error {
	return &Error{line, 0, fmt.Sprintf("%d lines are no variables: the rest of the file is not read", maxFaults)}
}

// Parse reads the Compose grammar and tells every fault. lookup gives the variables of the environment,
// which win over earlier keys of the same file in ${…}.
func Parse(text string, lookup interp.Lookup) ([]Entry, []Warning, []*Error) {
	p := &parser{text: strings.TrimPrefix(text, "\ufeff"), line: 1, outer: lookup, seen: map[string]string{}}
	p.text = strings.ReplaceAll(p.text, "\r\n", "\n")
	p.full = p.text
	var faults []*Error
	for p.skip() {
		from := p.text
		err := p.statement()
		if err == nil {
			continue
		}
		faults = append(faults, err)
		p.text, p.line = from, err.Line
		p.nextLine()
		if strings.Contains(err.Message, noClosing) {
			p.nextStatement()
		}
		if len(faults) == maxFaults && p.text != "" {
			faults = append(faults, tooMany(p.line))
			break
		}
	}
	return p.entries, p.warnings, faults
}

// nextLine passes the rest of the line.
func (p *parser) nextLine() {
	n := strings.IndexByte(p.text, '\n')
	if n < 0 {
		n = len(p.text) - 1
	}
	p.advance(n + 1)
}

// nextStatement passes lines up to one that can be nothing else than a variable of its own: what comes before may be the rest of a
// value whose quote is not closed, such as a key in PEM.
func (p *parser) nextStatement() {
	for p.text != "" {
		line, _, _ := strings.Cut(p.text, "\n")
		name, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimLeft(line, " \t"), "export "), "=")
		if ok && p.checkKey(strings.TrimSpace(name)) == nil {
			return
		}
		p.nextLine()
	}
}

type parser struct {
	full     string
	text     string // the rest of full
	line     int
	outer    interp.Lookup
	seen     map[string]string
	entries  []Entry
	warnings []Warning
}

func (p *parser) advance(n int) {
	p.line += strings.Count(p.text[:n], "\n")
	p.text = p.text[n:]
}

// skip passes blanks, blank lines and comments; false at the end.
func (p *parser) skip() bool {
	for {
		n := len(p.text) - len(strings.TrimLeft(p.text, " \t\n\r\f\v\u00a0\u0085"))
		p.advance(n)
		if p.text == "" {
			return false
		}
		if p.text[0] != '#' {
			return true
		}
		if n = strings.IndexByte(p.text, '\n'); n < 0 {
			p.text = ""
			return false
		}
		p.advance(n)
	}
}

func (p *parser) fail(format string, args ...any) *Error {
	return &Error{p.line, p.column(), fmt.Sprintf(format, args...)}
}

// column is where the rest of the text starts.
func (p *parser) column() int {
	before := p.full[:len(p.full)-len(p.text)]
	return utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

func (p *parser) statement() *Error {
	if rest, ok := strings.CutPrefix(p.text, "export"); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
		p.text = strings.TrimLeft(rest, " \t")
	}
	n := strings.IndexAny(p.text, "=:\n")
	if n < 0 || p.text[n] == '\n' {
		end := n
		if n < 0 {
			end = len(p.text)
		}
		name := p.text[:end]
		if i := strings.Index(name, " #"); i >= 0 {
			name = name[:i]
		}
		name = strings.TrimSpace(name)
		if err := p.checkKey(name); err != nil {
			return err
		}
		if v, ok := p.outer(name); ok {
			p.add(name, v)
		}
		p.advance(end)
		return nil
	}
	key := strings.TrimRight(p.text[:n], " \t")
	if err := p.checkKey(key); err != nil {
		return err
	}
	p.text = p.text[n+1:]
	value := strings.TrimLeft(p.text, " \t\f\v")
	blank := len(value) < len(p.text)
	if p.text = value; p.text == "" {
		p.add(key, "")
		return nil
	}
	switch p.text[0] {
	case '"', '\'':
		return p.quoted(key, p.text[0])
	}
	return p.unquoted(key, blank)
}

// noClosing marks the fault of which one cannot tell where it ends.
const noClosing = "has no closing"

// maxShown bounds what a message says of a name, bytes.
const maxShown = 32

func (p *parser) checkKey(key string) *Error {
	if key == "" {
		return p.fail("expected a variable name")
	}
	for _, r := range key {
		switch {
		case r == '_' || r == '.' || r == '-' || r == '[' || r == ']' || unicode.IsLetter(r) || unicode.IsNumber(r):
		default:
			if len(key) > maxShown { // the second line of a key that lacks its quotes, perhaps
				key = key[:8] + "…"
			}
			return p.fail("unexpected character %q in variable name %q", r, key)
		}
	}
	return nil
}

func (p *parser) add(key, value string) {
	p.entries = append(p.entries, Entry{key, value, p.line})
	p.seen[key] = value
}

// unquoted reads the rest of the line. A comment begins behind a blank, which may be the one behind the equals sign: A=#f00 is a
// colour, A= #f00 nothing.
func (p *parser) unquoted(key string, blank bool) *Error {
	end := strings.IndexByte(p.text, '\n')
	if end < 0 {
		end = len(p.text)
	}
	v := p.text[:end]
	if blank && strings.HasPrefix(v, "#") {
		v = ""
	} else if i := strings.Index(v, " #"); i >= 0 {
		v = v[:i]
	}
	v, err := p.expand(strings.TrimSpace(v))
	if err != nil {
		return err
	}
	p.add(key, v)
	p.advance(end)
	return nil
}

func (p *parser) quoted(key string, quote byte) *Error {
	for i := 1; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case quote:
			v := p.text[1:i]
			if quote == '\'' {
				v = strings.ReplaceAll(v, `\'`, `'`)
			} else {
				var err *Error
				if v, err = p.expand(unescape(v)); err != nil {
					return err
				}
			}
			p.add(key, v)
			p.advance(i + 1)
			return nil
		}
	}
	return p.fail("the value of %s %s %c", key, noClosing, quote)
}

// expand substitutes the environment's variables first, then earlier keys.
func (p *parser) expand(s string) (string, *Error) {
	v, missing, err := interp.Expand(s, func(name string) (string, bool) {
		if v, ok := p.outer(name); ok {
			return v, true
		}
		v, ok := p.seen[name]
		return v, ok
	})
	if err != nil {
		return "", p.fail("%s", err.Message)
	}
	for _, m := range missing {
		p.warnings = append(p.warnings, Warning{p.line, p.column(), m.Name})
	}
	return v, nil
}

// unescape decodes the escapes of a double-quoted value. \$ becomes $$, which
// interpolation turns into a dollar sign.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'v':
			b.WriteByte('\v')
		case '$':
			b.WriteString("$$")
		case '"', '\\':
			b.WriteByte(c)
		case '0':
			n, k := 0, 0
			for k < 3 && i+1+k < len(s) && '0' <= s[i+1+k] && s[i+1+k] <= '7' {
				n = n*8 + int(s[i+1+k]-'0')
				k++
			}
			if k == 0 {
				b.WriteString(`\0`)
				continue
			}
			b.WriteByte(byte(n))
			i += k
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ParseRaw reads the grammar of docker run --env-file: everything after = is the
// value; a line with only a name takes the environment's value.
func ParseRaw(text string, lookup interp.Lookup) ([]Entry, []*Error) {
	var (
		entries []Entry
		faults  []*Error
	)
	line := 0
	for l := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line++
		l = strings.TrimLeft(strings.TrimRight(l, "\r\n"), " \t")
		if l == "" || l[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(l, "=")
		if len(faults) == maxFaults {
			faults = append(faults, tooMany(line))
			break
		}
		if key == "" {
			faults = append(faults, &Error{line, 1, "expected a variable name"})
			continue
		}
		if strings.ContainsAny(key, " \t") {
			faults = append(faults, &Error{line, 1, fmt.Sprintf("the variable name %q has a blank in it", key)})
			continue
		}
		if !ok {
			if value, ok = lookup(key); !ok {
				continue
			}
		}
		entries = append(entries, Entry{key, value, line})
	}
	return entries, faults
}
