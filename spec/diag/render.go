package diag

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/spec/redact"
)

// Sources gives the text of a file that positions name; false when there is none to show.
type Sources func(file string) ([]byte, bool)

// Style says how Render writes. The zero Style is plain, with full paths and no snippets.
type Style struct {
	Color   bool
	Dir     string  // paths below Dir are written relative to it
	Sources Sources // nil = no snippets
}

const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// Render writes each diagnostic of list as
//
//	path:line:column: error: summary: detail
//	   12 |     prots: ["80"]
//	      |     ^~~~~
//	  hint: did you mean "ports"?
func Render(w io.Writer, list List, style Style) error {
	r := renderer{style: style, lines: map[string][]string{}}
	for _, d := range list {
		r.diagnostic(d)
	}
	_, err := io.WriteString(w, r.b.String())
	return err
}

type renderer struct {
	b     strings.Builder
	style Style
	lines map[string][]string
}

func (r *renderer) paint(color, s string) string {
	if !r.style.Color || s == "" {
		return s
	}
	return color + s + reset
}

func (r *renderer) diagnostic(d *Diagnostic) {
	if d.Subject != nil {
		at := d.Subject.Start
		at.File = r.shorten(at.File)
		if s := at.String(); s != "" {
			r.b.WriteString(r.paint(bold, s+":") + " ")
		}
	}
	color := red
	if d.Severity == Warning {
		color = yellow
	}
	r.b.WriteString(r.paint(color, d.Severity.String()+":") + " " + r.paint(bold, d.Summary))
	if d.Detail != "" {
		r.b.WriteString(": " + printable(r.shortenIn(cut(d.Detail))))
	}
	r.b.WriteByte('\n')
	if d.Subject != nil {
		r.snippet(d.Subject, color)
	}
	for _, n := range d.Notes {
		r.b.WriteString("  " + printable(n) + "\n")
	}
	if d.Hint != "" {
		r.b.WriteString("  " + r.paint(bold, "hint:") + " " + printable(cut(d.Hint)) + "\n")
	}
}

func (r *renderer) shorten(file string) string {
	if r.style.Dir == "" || !filepath.IsAbs(file) {
		return file
	}
	rel, err := filepath.Rel(r.style.Dir, file)
	if err != nil || strings.HasPrefix(rel, "..") {
		return file
	}
	return rel
}

// place is an absolute path with a line, as Pos.String writes it.
var place = lazyregexp.New(`/[^\s:"]+:[0-9]+`)

// shortenIn makes the places that a detail mentions relative as well. Other paths stay whole: they are what somebody
// has to find, and not always from here.
func (r *renderer) shortenIn(s string) string {
	return place.ReplaceAllStringFunc(s, func(p string) string {
		file, line, _ := strings.Cut(p, ":")
		return r.shorten(file) + ":" + line
	})
}

// maxSnippet bounds what is shown of one line: minified JSON is Compose too.
const maxSnippet = 160

func (r *renderer) snippet(at *Range, color string) {
	line := r.line(at.Start.File, at.Start.Line)
	if line == "" || utf8.RuneCountInString(line) > maxSnippet {
		return
	}
	number := fmt.Sprintf("%5d", at.Start.Line)
	shown, same := redact.Line(line)
	r.b.WriteString(r.paint(dim, number+" |") + " " + printable(shown) + "\n")
	last := utf8.RuneCountInString(line[:same]) + 1
	if at.Start.Column <= 0 || at.Start.Column > last {
		return // no place, one that is hidden, or the file changed under us
	}
	// Tabs are kept in the padding, so that the caret stands below its character.
	var pad strings.Builder
	col := 1
	for _, c := range line {
		if col == at.Start.Column {
			break
		}
		if c == '\t' {
			pad.WriteByte('\t')
		} else {
			pad.WriteByte(' ')
		}
		col++
	}
	length := 1
	if at.End.Line == at.Start.Line && at.End.Column > at.Start.Column {
		length = min(at.End.Column, last) - at.Start.Column
	}
	r.b.WriteString(r.paint(dim, "      |") + " " + pad.String() + r.paint(color, "^"+strings.Repeat("~", max(0, length-1))) + "\n")
}

func (r *renderer) line(file string, n int) string {
	if r.style.Sources == nil || n <= 0 {
		return ""
	}
	lines, ok := r.lines[file]
	if !ok {
		if data, found := r.style.Sources(file); found {
			lines = strings.Split(string(data), "\n")
		}
		r.lines[file] = lines
	}
	if n > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[n-1], "\r")
}

// maxText bounds what is shown of a detail or a hint, bytes: a name can be as long as a file.
const maxText = 2_000

// cut leaves out the middle of what is too long to be read.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText/2], "") + " … " + strings.ToValidUTF8(s[len(s)-maxText/2:], "")
}

// printable keeps a file's control characters from reaching the terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && (c < ' ' || c == 0x7f || 0x80 <= c && c < 0xa0) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// RenderJSON writes list as one JSON array, for editors.
func RenderJSON(w io.Writer, list List) error {
	if list == nil {
		list = List{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}

// MarshalText is the severity's name, so that JSON says "warning" and not 1.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("cannot read %q as a severity", text)
	}
	return nil
}
