package spec

import (
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
)

// parseEnv reads the text of an env file and tells what is wrong in it. The entries are usable when that is true.
func (f *faults) parseEnv(file string, data []byte, raw bool, lookup func(string) (string, bool)) ([]dotenv.Entry, bool) {
	var (
		entries  []dotenv.Entry
		warnings []dotenv.Warning
		wrong    []*dotenv.Error
	)
	if raw {
		entries, wrong = dotenv.ParseRaw(string(data), lookup)
	} else {
		entries, warnings, wrong = dotenv.Parse(string(data), lookup)
	}
	for _, w := range warnings {
		if !f.Count(diag.Warning) {
			f.at(diag.Warning, CodeUnset, diag.Pos{File: file, Line: w.Line, Column: w.Column}, w.Name+" is not set and has no default; it is empty", "")
		}
	}
	for _, e := range wrong {
		hint := ""
		if strings.Contains(e.Message, "variable name") {
			hint = "write NAME=value, one per line"
		}
		f.at(diag.Error, CodeEnvFile, diag.Pos{File: file, Line: e.Line, Column: e.Column}, e.Message, hint)
	}
	return entries, len(wrong) == 0
}
