// Package position finds the place in a project's file of what is wrong.
package position

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// At turns err into a diagnostic at path of p's file, if p has that. Its hint is what err advises, by a method Advice.
func At(p *spec.Project, path spec.Path, err error) error {
	var d *diag.Diagnostic
	if err == nil || p == nil || errors.As(err, &d) || errors.Is(err, context.Canceled) {
		return err
	}
	r := p.Sources.At(path)
	if r == nil {
		return err
	}
	summary, evidence, _ := strings.Cut(err.Error(), "\n")
	d = &diag.Diagnostic{Code: "apply", Summary: summary, Hint: advice(err), Subject: r, Address: string(path), Err: err}
	if evidence != "" {
		for line := range strings.SplitSeq(evidence, "\n") {
			d.Notes = append(d.Notes, strings.TrimPrefix(line, "  "))
		}
	}
	return d
}

// advice is what err says that can be done about it.
func advice(err error) string {
	var own interface{ Advice() string }
	if errors.As(err, &own) {
		return own.Advice()
	}
	return ""
}

// Fill gives diagnostics their position in the file.
func Fill(p *spec.Project, diags diag.List) {
	if p != nil {
		p.Sources.Fill(diags)
	}
	diags.Sort()
}

// Has says whether p's file has a value at path. Without a file it has none.
func Has(p *spec.Project, path string) bool {
	if p == nil {
		return false
	}
	_, ok := p.Sources[spec.Path(path)]
	return ok
}

// Written is the first of paths that p's file has a value at, else the last.
func Written(p *spec.Project, paths ...string) string {
	for _, path := range paths {
		if Has(p, path) {
			return path
		}
	}
	return paths[len(paths)-1]
}

// Diagnostics is failed as diagnostics, if each failure is one, so that a front end can show the places; what was not done because of
// a failure is a note to it.
func Diagnostics(failed *apply.Error) error {
	var list diag.List
	for _, f := range failed.Failures {
		var d *diag.Diagnostic
		if !errors.As(f.Err, &d) {
			return failed
		}
		with := *d
		if consequence := f.Consequence(); consequence != "" {
			with.Notes = append(slices.Clone(d.Notes), consequence)
		}
		list = append(list, &with)
	}
	return list.Err()
}
