package spec

import (
	"context"
	"encoding/json"

	"github.com/stackrun/stack/spec/diag"
)

// Raw says what Load leaves as the file has it. It is for showing a file: such a project is not one to run.
type Raw struct {
	Paths       bool // relative paths stay relative
	EnvFiles    bool // env files are not read: they are Service.EnvFiles
	Defaults    bool // no name, default network, Dockerfile or dependency that the file does not say
	Consistency bool // what no single key can tell, such as a network that is not defined or a service without image, is not checked
}

// EnvFile is an env file that was not read.
type EnvFile struct {
	Path     string
	Required bool
	Format   string // "" or raw
}

// Uninterpolated gives the model of in's files with the variables still in it: included, extended and merged, each value in the form
// in which it was written. It is one JSON object.
func Uninterpolated(ctx context.Context, in Input) (json.RawMessage, diag.List) {
	l := newLoader(ctx, in)
	l.literal = true
	files := l.parseAll(in.Files)
	if l.HasErrors() {
		return nil, l.List()
	}
	l.nameProject(files)
	model := l.model(files, scope{dir: in.Dir, lookup: l.lookup, from: l.definedAt})
	if model == nil && !l.HasErrors() {
		l.empty(files)
	}
	if !l.HasErrors() {
		setPaths(model, "")
		l.checkKeys(model)
		model.Set(model.At("name"), model.At(l.project))
	}
	if l.HasErrors() {
		return nil, l.List()
	}
	return appendJSON(nil, model), l.List()
}
