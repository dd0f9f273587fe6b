// Package formatter writes what commands print: tables, templates, JSON, and sizes and durations in docker's words.
package formatter

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
	"unicode"
)

// Formats of what is text for people or JSON for programs.
const (
	Text = "text"
	JSON = "json"
)

// Check refuses what --format cannot be: a template that cannot be read. What it asks of a row shows when there is one.
func Check(format string) error {
	_, _, err := parseFormat(format)
	return err
}

// parseFormat reads TEMPLATE and `table TEMPLATE`, which has a header.
func parseFormat(format string) (tmpl *template.Template, table bool, err error) {
	text, table := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	tmpl, err = template.New("format").Funcs(formatFuncs).Parse(text)
	if err != nil {
		return nil, false, fmt.Errorf("invalid --format: %w", err)
	}
	return tmpl, table, nil
}

// Write prints rows as one JSON object a line, or by a template over their keys, of which head has the titles.
func Write[R any](w io.Writer, format string, head Header, rows []R) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	tmpl, table, err := parseFormat(format)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 1, 3, ' ', 0)
	execute := func(row any) error {
		if err := tmpl.Execute(t, row); err != nil {
			return fmt.Errorf("invalid --format: %w", err)
		}
		fmt.Fprintln(t)
		return nil
	}
	if table {
		if err := execute(head); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := execute(r); err != nil {
			return err
		}
	}
	return t.Flush()
}

// Header has the titles of columns by key.
type Header map[string]string

// Label is the title above {{.Label "com.example.some-thing"}}, as docker's: some thing.
func (h Header) Label(name string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(name[strings.LastIndexByte(name, '.')+1:])
}

// Titles are those of keys: named, or else the key in capitals.
func Titles(keys []string, named map[string]string) Header {
	h := Header{}
	for _, k := range keys {
		if h[k] = named[k]; h[k] == "" {
			h[k] = strings.ToUpper(k)
		}
	}
	return h
}

// WriteLines prints each of lines on its own.
func WriteLines(w io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// WriteTable prints rows of cells below head, without spaces at the ends of lines.
func WriteTable(w io.Writer, head []string, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 1, 3, ' ', 0)
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	t.Flush() //nolint:errcheck // into memory
	_, err := io.WriteString(w, TrimLines(b.String()))
	return err
}

// TrimLines is text without spaces at the ends of its lines.
func TrimLines(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
	return b.String()
}

// formatFuncs are docker's functions for templates.
var formatFuncs = template.FuncMap{
	"json":  func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"join":  strings.Join,
	"lower": strings.ToLower, "upper": strings.ToUpper, "split": strings.Split,
	"title": func(s string) string {
		before := ' '
		return strings.Map(func(r rune) rune {
			first := unicode.IsSpace(before)
			before = r
			if first {
				return unicode.ToTitle(r)
			}
			return r
		}, s)
	},
	"pad": func(s string, before, after int) string {
		if s == "" {
			return s
		}
		return strings.Repeat(" ", max(0, before)) + s + strings.Repeat(" ", max(0, after))
	},
	"truncate": func(s string, n int) string {
		r := []rune(s)
		return string(r[:max(0, min(n, len(r)))])
	},
}

// WriteJSON writes v as people and programs can read it.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// CheckTextOrJSON refuses what is neither text nor json.
func CheckTextOrJSON(format string) error {
	if format != "" && format != Text && format != JSON {
		return fmt.Errorf("unsupported --format value %q, expected text or json", format)
	}
	return nil
}
