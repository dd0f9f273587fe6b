package main

import (
	"fmt"

	"github.com/stackrun/stack/spec/diag"
)

// diagnosticsFormat is how faults and warnings are shown on stderr: for people, or with "json" for editors, as
// JSON arrays of diagnostics: one for each time that the files are read, empty when there is nothing to say, and
// one for whatever else goes wrong. Exit codes are the same.
type diagnosticsFormat string

const diagnosticsJSON diagnosticsFormat = "json"

func (f *diagnosticsFormat) String() string { return string(*f) }
func (f *diagnosticsFormat) Type() string   { return "string" }

func (f *diagnosticsFormat) Set(s string) error {
	if s != "text" && s != string(diagnosticsJSON) {
		return fmt.Errorf("expected text or json")
	}
	*f = diagnosticsFormat(s)
	return nil
}

// asDiagnostics are the faults of err, which is one itself when it is made of none.
func asDiagnostics(err error) diag.List {
	if list := faults(err); len(list) > 0 {
		return list
	}
	return diag.List{{Severity: diag.Error, Code: "failed", Summary: "cannot go on", Detail: err.Error()}}
}

func (a *app) writeDiagnostics(list diag.List) {
	diag.RenderJSON(a.err, list) //nolint:errcheck // stderr
}
