package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/tree"
)

// Codes of the faults that Load reports, beside those of package tree.
const (
	CodeNoFile      diag.Code = "no-file"
	CodeRead        diag.Code = "cannot-read"
	CodeFetch       diag.Code = "cannot-fetch"
	CodeTooLarge    diag.Code = "too-large"
	CodeEmpty       diag.Code = "empty-file"
	CodeInterpolate diag.Code = "interpolation"
	CodeRequired    diag.Code = "required-variable"
	CodeUnset       diag.Code = "unset-variable"
	CodeUnknownKey  diag.Code = "unknown-key"
	CodeRefused     diag.Code = "not-supported"
	CodeIgnored     diag.Code = "ignored"
	CodeType        diag.Code = "wrong-type"
	CodeValue       diag.Code = "bad-value"
	CodeName        diag.Code = "bad-name"
	CodeMissing     diag.Code = "missing-key"
	CodeConflict    diag.Code = "conflict"
	CodeDuplicate   diag.Code = "duplicate"
	CodeUndefined   diag.Code = "undefined"
	CodeCycle       diag.Code = "cycle"
	CodeMerge       diag.Code = "cannot-merge"
	CodeEnvFile     diag.Code = "env-file"
	CodeNoService   diag.Code = "no-such-service"
	CodeProfile     diag.Code = "inactive"
)

// summaries is the constant text of each code.
var summaries = map[diag.Code]string{
	CodeNoFile:      "no configuration file provided",
	CodeRead:        "cannot read file",
	CodeFetch:       "cannot fetch",
	CodeTooLarge:    "project too large",
	CodeEmpty:       "empty compose file",
	CodeInterpolate: "invalid interpolation",
	CodeRequired:    "required variable not set",
	CodeUnset:       "variable not set",
	CodeUnknownKey:  "unknown key",
	CodeRefused:     "not supported",
	CodeIgnored:     "without effect",
	CodeType:        "wrong type",
	CodeValue:       "invalid value",
	CodeName:        "invalid name",
	CodeMissing:     "missing key",
	CodeConflict:    "conflicting settings",
	CodeDuplicate:   "duplicate",
	CodeUndefined:   "undefined reference",
	CodeCycle:       "cycle",
	CodeMerge:       "cannot merge",
	CodeEnvFile:     "invalid env file",
	CodeNoService:   "no such service",
	CodeProfile:     "inactive service",
}

// faults collects what the passes find wrong.
type faults struct {
	diag.Collector
	compared int // names that were compared for hints
}

func fault(s diag.Severity, code diag.Code, n *tree.Node, detail, hint string) *diag.Diagnostic {
	d := &diag.Diagnostic{Severity: s, Code: code, Summary: summaries[code], Detail: redact.URLs(detail), Hint: redact.URLs(hint)}
	if n != nil {
		r := n.Range()
		d.Subject, d.Address = &r, n.Path
	}
	return d
}

func (f *faults) err(code diag.Code, n *tree.Node, detail, hint string) {
	if !f.Count(diag.Error) {
		f.Add(fault(diag.Error, code, n, detail, hint))
	}
}

func (f *faults) warn(code diag.Code, n *tree.Node, detail, hint string) {
	if !f.Count(diag.Warning) {
		f.Add(fault(diag.Warning, code, n, detail, hint))
	}
}

// at is err for a fault whose place is not a node's.
func (f *faults) at(s diag.Severity, code diag.Code, pos diag.Pos, detail, hint string) {
	f.Add(&diag.Diagnostic{Severity: s, Code: code, Summary: summaries[code], Detail: detail, Hint: hint, Subject: &diag.Range{Start: pos}})
}

// maxCompared bounds how many names a load compares for its hints: with thousands of services and of faults the hints would
// take longer than all the rest.
const maxCompared = 500_000

// mayCompare asks for n comparisons of names: it says no when too many have been made, or when faults are told no more.
func (f *faults) mayCompare(n int) bool {
	f.compared += n
	return f.compared <= maxCompared && !f.Full(diag.Error)
}

// among is suggest with the keys of valid, if there may be so many.
func among[V any](f *faults, name string, valid map[string]V) string {
	if !f.mayCompare(len(valid)) {
		return ""
	}
	return suggest(name, slices.Collect(maps.Keys(valid)))
}

// suggest is "did you mean x?" when one of valid is near to name, or the list of
// valid when that is short.
func suggest(name string, valid []string) string {
	if best := nearest(name, valid); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(valid) == 0 || len(valid) > 12 {
		return ""
	}
	valid = slices.Clone(valid)
	slices.Sort(valid)
	return "valid here: " + strings.Join(valid, ", ")
}

// nearest is the one of valid that name is most likely a slip for, "" when none is near; of equals the first by name.
func nearest(name string, valid []string) string {
	if name == "" {
		return ""
	}
	name = strings.ToLower(name)
	longer := "" // service_healthy for healthy
	for _, v := range valid {
		if strings.HasSuffix(v, "_"+name) && (longer == "" || v < longer) {
			longer = v
		}
	}
	if longer != "" {
		return longer
	}
	best, within := "", 1+len(name)/3
	for _, v := range valid {
		if d := distance(name, v, within); d < within || d == within && (best == "" || v < best) {
			best, within = v, d
		}
	}
	return best
}

// maxCompare is the length up to which names are compared, bytes.
const maxCompare = 64

// distance is Levenshtein's, with the swap of two neighbours as one step. More than limit is limit+1.
func distance(a, b string, limit int) int {
	if len(a) > maxCompare || len(b) > maxCompare || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var rows [3][maxCompare + 1]int
	prev2, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
			least = min(least, cur[j])
		}
		if least > limit+1 { // a swap of neighbours may still take one off
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit+1)
}
