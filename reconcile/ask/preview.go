package ask

import (
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Preview is what an up would do, or how a host differs from its file, for whoever reads it: by kind and name, with values of variables
// that hold secrets left out.
type Preview struct {
	Project  string             `json:"project"`
	Changes  []plan.Change      `json:"changes"`
	Warnings []*diag.Diagnostic `json:"warnings,omitempty"`
	Faults   []*diag.Diagnostic `json:"faults,omitempty"` // for which up would refuse to do any of it
}

// Revision is a project as it was applied once.
type Revision struct {
	Number   int            `json:"number"` // of its entry in the history
	Time     time.Time      `json:"time"`
	Project  *spec.Project  `json:"project"`
	Services []string       `json:"services,omitempty"` // that the command named
	Scale    map[string]int `json:"scale,omitempty"`
}

// MaxSaved bounds the file of a saved plan, bytes: a project and what the host was like, both of a size that a request may have.
const MaxSaved = 64 << 20

// Saved is a plan to be kept, and what it says.
type Saved struct {
	Preview *Preview `json:"preview"`
	File    []byte   `json:"file,omitempty"` // nil when there are faults: such a plan could not be carried out
}
