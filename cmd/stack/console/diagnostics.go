package console

import (
	"fmt"

	"github.com/stackrun/stack/spec/diag"
)

// Diagnostics is how faults and warnings are shown on stderr: for people, or with "json" for editors, as
// JSON arrays of diagnostics: one for each time that the files are read, empty when there is nothing to say, and
// one for whatever else goes wrong. Exit codes are the same. It is a flag's value.
type Diagnostics string

// DiagnosticsJSON is for editors.
const DiagnosticsJSON Diagnostics = "json"

func (f *Diagnostics) String() string { return string(*f) }

// Type is what a flag's help calls it.
func (f *Diagnostics) Type() string { return "string" }

// Set takes the flag's value.
func (f *Diagnostics) Set(s string) error {
	if s != "text" && s != string(DiagnosticsJSON) {
		return fmt.Errorf("expected text or json")
	}
	*f = Diagnostics(s)
	return nil
}

// asDiagnostics are the faults of err, which is one itself when it is made of none.
func asDiagnostics(err error) diag.List {
	if list := faults(err); len(list) > 0 {
		return list
	}
	return diag.List{{Severity: diag.Error, Code: "failed", Summary: "cannot go on", Detail: err.Error()}}
}

func (c *Console) writeDiagnostics(list diag.List) {
	diag.RenderJSON(c.Err, list) //nolint:errcheck // stderr
}
