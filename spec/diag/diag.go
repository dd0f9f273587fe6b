// Package diag is the vocabulary of faults: what is wrong, where in which
// file, why, and what to do. It is pure: no I/O but reading the sources that
// it is handed when a snippet is rendered.
package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity of a Diagnostic. Warnings never stop a load and survive success.
type Severity uint8

const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Code is a stable, greppable name of a kind of fault ("unknown-key").
type Code string

// Pos is a place in a source file. Line and Column count from 1; Column counts
// runes, as editors do. The zero Pos is "no position".
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is "file:line:column", without the parts that are not known.
func (p Pos) String() string {
	switch {
	case p.File == "" && p.Line == 0:
		return ""
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Range is a half-open stretch of one file; End may be zero (a point).
type Range struct {
	Start Pos `json:"start"`
	End   Pos `json:"end,omitzero"`
}

// Diagnostic is one fault. Summary is constant text for its Code; Detail names
// the values at hand; Hint says the fix.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what was seen besides, a line each: a probe's output, the end of a log
	Subject  *Range   `json:"subject,omitempty"`
	Address  string   `json:"address,omitempty"` // "services.web.ports[0]" or "container shop-web-1"
	More     int      `json:"more,omitempty"`    // CodeMore: stands for so many faults
	Err      error    `json:"-"`
}

// Error renders one line, place, summary, detail, and one more for each note. It makes a Diagnostic usable as an error.
func (d *Diagnostic) Error() string {
	var b strings.Builder
	if d.Subject != nil {
		if at := d.Subject.Start.String(); at != "" {
			b.WriteString(at)
			b.WriteString(": ")
		}
	}
	b.WriteString(d.Summary)
	if d.Detail != "" {
		b.WriteString(": ")
		b.WriteString(cut(d.Detail))
	}
	if d.Hint != "" {
		b.WriteString(" (")
		b.WriteString(cut(d.Hint))
		b.WriteString(")")
	}
	text := printable(b.String())
	for _, n := range d.Notes {
		text += "\n  " + printable(n)
	}
	return text
}

func (d *Diagnostic) Unwrap() error { return d.Err }

// List is the faults of one pass.
type List []*Diagnostic

// HasErrors says whether anything in l is more than a warning.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d *Diagnostic) bool { return d.Severity == Error })
}

// Sort orders by file, line, column, then summary, so that output is stable. What is only counted comes last.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b *Diagnostic) int {
		if a.More > 0 || b.More > 0 {
			return cmp.Or(cmp.Compare(min(a.More, 1), min(b.More, 1)), cmp.Compare(a.Severity, b.Severity))
		}
		var p, q Pos
		if a.Subject != nil {
			p = a.Subject.Start
		}
		if b.Subject != nil {
			q = b.Subject.Start
		}
		if c := strings.Compare(p.File, q.File); c != 0 {
			return c
		}
		if c := p.Line - q.Line; c != 0 {
			return c
		}
		if c := p.Column - q.Column; c != 0 {
			return c
		}
		return strings.Compare(a.Summary, b.Summary)
	})
}

// Err is nil when l has no error, else an error whose text is every error of l, a line each.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return &listError{l}
}

type listError struct{ list List }

func (e *listError) Error() string {
	var lines []string
	for _, d := range e.list {
		if d.Severity == Error {
			lines = append(lines, d.Error())
		}
	}
	return strings.Join(lines, "\n")
}

func (e *listError) Unwrap() []error {
	var errs []error
	for _, d := range e.list {
		errs = append(errs, d)
	}
	return errs
}
