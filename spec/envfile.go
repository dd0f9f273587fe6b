package spec

import (
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
)

// parseEnv reads the text of an env file and turns its faults into diagnostics.
func parseEnv(file string, data []byte, raw bool, lookup func(string) (string, bool)) ([]dotenv.Entry, diag.List) {
	var f faults
	var entries []dotenv.Entry
	var fault *dotenv.Error
	if raw {
		entries, fault = dotenv.ParseRaw(string(data), lookup)
	} else {
		var warnings []dotenv.Warning
		entries, warnings, fault = dotenv.Parse(string(data), lookup)
		for _, w := range warnings {
			f.at(diag.Warning, CodeUnset, diag.Pos{File: file, Line: w.Line, Column: w.Column}, w.Name+" is not set and has no default; it is empty", "")
		}
	}
	if fault != nil {
		hint := ""
		if strings.Contains(fault.Message, "variable name") {
			hint = "write NAME=value, one per line"
		}
		f.at(diag.Error, CodeEnvFile, diag.Pos{File: file, Line: fault.Line, Column: fault.Column}, fault.Message, hint)
	}
	return entries, f.list
}
