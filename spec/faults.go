package spec

import (
	"fmt"
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

// faults collects what a pass finds wrong.
type faults struct{ list diag.List }

func (f *faults) add(s diag.Severity, code diag.Code, n *tree.Node, detail, hint string) {
	d := &diag.Diagnostic{Severity: s, Code: code, Summary: summaries[code], Detail: redact.URLs(detail), Hint: redact.URLs(hint)}
	if n != nil {
		r := n.Range()
		d.Subject, d.Address = &r, n.Path
	}
	f.list = append(f.list, d)
}

func (f *faults) err(code diag.Code, n *tree.Node, detail, hint string) {
	f.add(diag.Error, code, n, detail, hint)
}

func (f *faults) warn(code diag.Code, n *tree.Node, detail, hint string) {
	f.add(diag.Warning, code, n, detail, hint)
}

// at is err for a fault whose place is not a node's.
func (f *faults) at(s diag.Severity, code diag.Code, pos diag.Pos, detail, hint string) {
	f.list = append(f.list, &diag.Diagnostic{Severity: s, Code: code, Summary: summaries[code], Detail: detail, Hint: hint, Subject: &diag.Range{Start: pos}})
}

// suggest is "did you mean x?" when one of valid is near to name, or the list of
// valid when that is short.
func suggest(name string, valid []string) string {
	best, dist := "", 1+len(name)/3
	for _, v := range valid {
		if name != "" && strings.HasSuffix(v, "_"+strings.ToLower(name)) { // healthy for service_healthy
			return fmt.Sprintf("did you mean %q?", v)
		}
		if d := distance(strings.ToLower(name), v); d < dist || d == dist && best == "" {
			best, dist = v, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(valid) == 0 || len(valid) > 12 {
		return ""
	}
	valid = slices.Clone(valid)
	slices.Sort(valid)
	return "valid here: " + strings.Join(valid, ", ")
}

// distance is Levenshtein's, with the swap of two neighbours as one step.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
