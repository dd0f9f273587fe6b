package lsp

import (
	"context"
	"path"
	"slices"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/editor"
)

// changed takes the text that the editor has of file, and checks it.
func (s *server) changed(ctx context.Context, file, text string, version int) error {
	d := s.open[file]
	if d == nil {
		d = &document{}
		s.open[file] = d
	}
	d.raw, d.text, d.version = text, editor.NewText(text), version
	return s.check(ctx, file)
}

// closed forgets file and takes back what was said of it.
func (s *server) closed(file string) error {
	delete(s.open, file)
	for _, f := range s.published[file] {
		if err := s.publish(f, nil); err != nil {
			return err
		}
	}
	delete(s.published, file)
	return nil
}

// checkAll checks every open document: a file that was saved may be a part of others.
func (s *server) checkAll(ctx context.Context) error {
	for file := range s.open {
		if err := s.check(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// check loads the project of file and publishes its faults, those in other files with them.
func (s *server) check(ctx context.Context, file string) error {
	_, p, list := s.load(ctx, file)
	if p != nil {
		s.open[file].names = namesOf(p)
	}
	by := map[string]diag.List{file: nil}
	for _, d := range list {
		at := file // a fault without a place is shown at the top of the document
		if d.Subject != nil && path.IsAbs(d.Subject.Start.File) {
			at = d.Subject.Start.File
		}
		if at != file && s.open[at] != nil {
			continue // it has its own check
		}
		by[at] = append(by[at], d)
	}
	for _, f := range s.published[file] {
		if _, still := by[f]; !still {
			by[f] = nil
		}
	}
	var files []string
	for f := range by {
		files = append(files, f)
	}
	slices.Sort(files)
	s.published[file] = nil
	for _, f := range files {
		if len(by[f]) > 0 {
			s.published[file] = append(s.published[file], f)
		}
		if err := s.publish(f, by[f]); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) publish(file string, list diag.List) error {
	text := s.textOf(file)
	p := publishDiagnostics{URI: uriOf(file), Diagnostics: []diagnostic{}}
	if d := s.open[file]; d != nil {
		p.Version = &d.version
	}
	for _, d := range list {
		severity := 1
		if d.Severity == diag.Warning {
			severity = 2
		}
		said := d.Summary
		if d.Detail != "" {
			said += ": " + d.Detail
		}
		if d.Hint != "" {
			said += "\n" + d.Hint
		}
		p.Diagnostics = append(p.Diagnostics, diagnostic{Range: rangeOf(text, d.Subject), Severity: severity, Code: string(d.Code), Source: "stack", Message: said})
	}
	return s.notify("textDocument/publishDiagnostics", p)
}

// rangeOf is where a fault is shown: the word at its place when the end is not known.
func rangeOf(text editor.Text, r *diag.Range) textRange {
	if r == nil || r.Start.Line == 0 {
		return textRange{}
	}
	line := r.Start.Line - 1
	runes := text.Line(line)
	from := max(r.Start.Column-1, 0)
	to := r.End.Column - 1
	if r.End.Line != r.Start.Line || to <= from {
		for to = from; to < len(runes) && runes[to] != ' ' && runes[to] != ','; to++ {
		}
	}
	return onLine(runes, line, from, to)
}

func onLine(runes []rune, line, from, to int) textRange {
	return textRange{position{line, toUnits(runes, from)}, position{line, toUnits(runes, to)}}
}

// Kinds of completion items.
const (
	kindField     = 5
	kindVariable  = 6
	kindValue     = 12
	kindReference = 18
)

var kinds = map[editor.Kind]int{editor.Key: kindField, editor.Value: kindValue, editor.Reference: kindReference, editor.Variable: kindVariable}

func (s *server) completion(_ context.Context, file string, at position) completionList {
	list := completionList{Items: []completionItem{}}
	d := s.open[file]
	if d == nil {
		return list
	}
	line := d.text.Line(at.Line)
	column := toRunes(line, at.Character)
	known := editor.Known{Names: d.names, Variables: s.locate(file, false).in.Env}
	for _, it := range editor.Complete(d.text, at.Line, column, known) {
		item := completionItem{
			Label: it.Label, Kind: kinds[it.Kind], Detail: it.Detail, Documentation: it.Text,
			TextEdit: textEdit{Range: onLine(line, at.Line, it.From, column), NewText: it.Insert},
		}
		if it.Strange {
			item.Tags = []int{1}
		}
		list.Items = append(list.Items, item)
	}
	return list
}

func (s *server) hover(ctx context.Context, file string, at position) *hover {
	d := s.open[file]
	if d == nil {
		return nil
	}
	line := d.text.Line(at.Line)
	spot := editor.At(d.text, at.Line, toRunes(line, at.Character))
	if spot == nil {
		return nil
	}
	said := ""
	if spot.Variable != "" {
		in := s.locate(file, false).in
		said = editor.DescribeVariable(spot.Variable, in.Env, in.EnvFrom, path.Dir(file))
	} else {
		said = spot.Describe()
		if more := s.provenance(ctx, file, spot); more != "" {
			if said != "" {
				said += "\n\n---\n\n"
			}
			said += more
		}
	}
	if said == "" {
		return nil
	}
	return &hover{Contents: markup{"markdown", said}, Range: onLine(line, at.Line, spot.From, spot.To)}
}

// provenance tells where the value at spot comes from, "" when the project does not load or has none.
func (s *server) provenance(ctx context.Context, file string, spot *editor.Spot) string {
	located, p, _ := s.load(ctx, file)
	if p == nil || spot.Path == "" {
		return ""
	}
	origins, list := spec.Explain(ctx, located.in, spot.Path)
	if list.HasErrors() {
		return ""
	}
	return editor.Provenance(origins, path.Dir(file))
}
