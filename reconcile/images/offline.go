package images

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// lacks names what the build of s, a service of p, would have to fetch. What other services of p build counts
// as there. It changes nothing. A build that cannot begin lacks nothing: Check
// says what is wrong with it.
func (im *Images) lacks(ctx context.Context, p *spec.Project, s *spec.Service) (diag.List, error) {
	if awaited(s.Build) {
		return nil, nil
	}
	toCome := v1.Hash{}
	r, err := im.request(ctx, p, s, ask.BuildOptions{Offline: true}, func(string) (v1.Hash, error) { return toCome, nil })
	if err != nil {
		return nil, nil
	}
	lacks, err := im.drivers.Builder.Lacks(ctx, r, func(ref string) bool { return ref == toCome.String() })
	if err != nil {
		return nil, im.buildError(p, s, r, err)
	}
	var list diag.List
	for _, e := range lacks {
		list = append(list, lackFault(p, s, r, e))
	}
	return list, nil
}

// Lacking names all that builds of services of p would have to fetch and may not.
func (im *Images) Lacking(ctx context.Context, p *spec.Project, builds []*plan.Service) (diag.List, error) {
	var all diag.List
	for _, s := range builds {
		if !s.Offline {
			continue
		}
		list, err := im.lacks(ctx, p, p.Services[s.Name])
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	position.Fill(p, all)
	return all, nil
}

// lackFault is one thing that a build would have to fetch, at its place in the Dockerfile, or in p's file if that has the text.
func lackFault(p *spec.Project, s *spec.Service, r build.Request, e *build.Error) *diag.Diagnostic {
	at := "services." + s.Name + ".build"
	d := &diag.Diagnostic{Code: plan.CodeNotLocal, Summary: "a build would have to fetch something, and nothing is fetched offline", Address: at}
	var lack *build.OfflineError
	if errors.As(e.Err, &lack) {
		d.Hint = lack.Advice()
		d.Detail = fmt.Sprintf("the image of service %s needs %s", s.Name, lack.What)
	}
	if e.Instruction != "" {
		d.Detail += ": " + e.Instruction
	}
	if r.Inline != "" {
		d.Address = position.Written(p, at+".dockerfile_inline", at)
		d.Detail += fmt.Sprintf(" (line %d of it)", e.Line)
		return d
	}
	file := r.Dockerfile
	if rel, err := filepath.Rel(p.Dir, file); err == nil && filepath.IsLocal(rel) {
		file = rel
	}
	start := diag.Pos{File: file, Line: e.Line, Column: 1}
	d.Subject = &diag.Range{Start: start, End: start}
	return d
}
