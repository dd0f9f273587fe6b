package spec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/tree"
	"github.com/stackrun/stack/spec/units"
)

// decoder turns the checked model into values. Its methods report what is wrong
// and give the zero value then, so that one pass finds every fault.
type decoder struct {
	*loader
	project *Project
	drafts  map[string]*draft

	containers map[string]string // services by their container_name
}

// fields says how each key of an object is decoded into a T. A test holds these
// tables against schema's: neither may know a key that the other does not.
type fields[T any] map[string]func(*decoder, *tree.Node, *T)

// object decodes the mapping n into t; keys whose value is null are "not said".
func object[T any](d *decoder, n *tree.Node, f fields[T], t *T) bool {
	if n.IsNull() {
		return true
	}
	if n.Kind != tree.Mapping {
		d.want(n, "a mapping")
		return false
	}
	for _, p := range n.Pairs {
		if decode := f[p.Key.Value]; decode != nil && !p.Value.IsNull() {
			decode(d, p.Value, t)
		}
	}
	return true
}

// want reports that n is not of the expected kind.
func (d *decoder) want(n *tree.Node, expected string) {
	d.err(CodeType, n, fmt.Sprintf("%s: expected %s but got %s", n.Path, expected, n.What()), slip(n, expected))
}

// bad reports that the text of n is not a valid value.
func (d *decoder) bad(n *tree.Node, why, hint string) {
	d.err(CodeValue, n, fmt.Sprintf("%s: %s", n.Path, why), hint)
}

// inconsistent reports values that do not go together, each of which could stand alone. It is not looked for where
// Input.Raw says so.
func (d *decoder) inconsistent(code diag.Code, n *tree.Node, detail, hint string) {
	if !d.in.Raw.Consistency {
		d.err(code, n, detail, hint)
	}
}

// str takes a string only: an unquoted number or boolean is a fault, as in docker compose.
func (d *decoder) str(n *tree.Node) string {
	if n.Kind != tree.Scalar || n.Type != tree.String {
		d.want(n, "a string")
		return ""
	}
	return n.Value
}

// text takes any scalar.
func (d *decoder) text(n *tree.Node) string {
	if n.Kind != tree.Scalar {
		d.want(n, "a string")
		return ""
	}
	return n.Text()
}

// oneOf takes one of the given strings.
func (d *decoder) oneOf(n *tree.Node, valid ...string) string {
	s := d.str(n)
	for _, v := range valid {
		if s == v {
			return s
		}
	}
	if n.Kind == tree.Scalar && n.Type == tree.String {
		d.bad(n, fmt.Sprintf("%q is not known", s), choices(s, valid))
	}
	return ""
}

// choices is the hint for a word that is none of valid.
func choices(s string, valid []string) string {
	hint := suggest(s, valid)
	if hint == "" || strings.HasPrefix(hint, "did you mean") {
		hint = strings.TrimPrefix(hint+"; one of "+strings.Join(valid, ", "), "; ")
	}
	return hint
}

// anyOf is oneOf for words that docker compose takes as they are: another is a fault for who runs it.
func (d *decoder) anyOf(n *tree.Node, valid ...string) string {
	s := d.str(n)
	if s != "" && !slices.Contains(valid, s) {
		d.unfit(n, fmt.Sprintf("%q is not known", s), choices(s, valid))
	}
	return s
}

func (d *decoder) boolean(n *tree.Node) bool {
	if n.Kind != tree.Scalar {
		d.want(n, "true or false")
		return false
	}
	switch strings.ToLower(n.Value) {
	case "true":
		return true
	case "false":
		return false
	case "yes", "on", "y", "1", "t":
		return d.oldBool(n, true)
	case "no", "off", "n", "0", "f":
		return d.oldBool(n, false)
	}
	d.want(n, "true or false")
	return false
}

// oldBool takes YAML 1.1's words for booleans, as docker compose does; 1 and 0 only as texts.
func (d *decoder) oldBool(n *tree.Node, v bool) bool {
	if n.Type != tree.String {
		d.want(n, "true or false")
		return false
	}
	d.warn(CodeValue, n, fmt.Sprintf("%s: %q is taken as %t", n.Path, n.Value, v), fmt.Sprintf("write %t", v))
	return v
}

// integer takes an integer of [low, high]; a string that is one will do.
func (d *decoder) integer(n *tree.Node, low, high int64) int64 {
	if n.Kind != tree.Scalar || n.Type == tree.Bool || n.Type == tree.Null {
		d.want(n, "an integer")
		return 0
	}
	i, ok := n.Int()
	if !ok {
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			d.want(n, "an integer")
			return 0
		}
		i = int64(f)
	}
	switch {
	case i < low && high == math.MaxInt64:
		d.bad(n, fmt.Sprintf("%d is less than %d", i, low), "")
		return 0
	case i < low || i > high:
		d.bad(n, fmt.Sprintf("%d is not between %d and %d", i, low, high), "")
		return 0
	}
	return i
}

func (d *decoder) count(n *tree.Node) int { return int(d.integer(n, 0, math.MaxInt32)) }

func (d *decoder) number(n *tree.Node) float64 {
	if n.Kind == tree.Scalar && n.Type != tree.Bool && n.Type != tree.Null {
		if i, ok := n.Int(); ok {
			return d.positive(n, float64(i))
		}
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return d.positive(n, f)
		}
	}
	d.want(n, "a number")
	return 0
}

func (d *decoder) positive(n *tree.Node, f float64) float64 {
	if f < 0 {
		d.bad(n, n.Value+" is negative", "")
		return 0
	}
	return f
}

// bytes takes a number of bytes or a size with a unit.
func (d *decoder) bytes(n *tree.Node) int64 {
	if n.Kind != tree.Scalar || n.Type == tree.Bool || n.Type == tree.Null {
		d.want(n, "a size in bytes")
		return 0
	}
	text := n.Text()
	if n.Type == tree.Float {
		f, err := strconv.ParseFloat(n.Value, 64)
		if err == nil && f == math.Trunc(f) && f >= 0 && f < 1<<62 {
			return int64(f)
		}
		d.bad(n, fmt.Sprintf("%q is not a whole number of bytes", n.Value), "write a size with its unit, such as 512m or 1.5gb")
		return 0
	}
	v, err := units.Bytes(text)
	if err != nil {
		d.bad(n, fmt.Sprintf("%q is not a size: %v", n.Value, err), "write a number of bytes, or a size such as 512m or 1.5gb")
		return 0
	}
	return v
}

func (d *decoder) duration(n *tree.Node) time.Duration {
	if n.Kind != tree.Scalar || n.Type != tree.String {
		if n.Kind == tree.Scalar && (n.Type == tree.Int || n.Type == tree.Float) {
			d.bad(n, fmt.Sprintf("%q is not a duration: it has no unit", n.Value), fmt.Sprintf("write %ss for seconds", n.Value))
			return 0
		}
		d.want(n, "a duration")
		return 0
	}
	v, err := units.Duration(n.Value)
	if err != nil {
		d.bad(n, fmt.Sprintf("%q is not a duration: %v", n.Value, err), "write a duration such as 30s, 1m30s or 500ms")
	}
	return v
}

// mode takes permission bits: a YAML integer as it is, a string in base 8.
func (d *decoder) mode(n *tree.Node) uint32 {
	if n.Kind != tree.Scalar {
		d.want(n, "file permissions")
		return 0
	}
	var v int64
	var err error
	if n.Type == tree.Int {
		v, _ = n.Int()
		if n.Value[0] != '0' && n.Plain && v > 0 && v <= 0o7777 {
			hint := "write it in octal, such as 0440"
			if !strings.ContainsAny(n.Value, "89_") { // it may be meant as octal
				hint = fmt.Sprintf("write 0%s or \"0%s\"", n.Value, n.Value)
			}
			d.warn(CodeValue, n, fmt.Sprintf("%s: %s is decimal: the mode is %#o", n.Path, n.Value, v), hint)
		}
	} else {
		v, err = strconv.ParseInt(strings.TrimPrefix(n.Value, "0o"), 8, 32)
	}
	if err != nil || v < 0 || v > 0o7777 {
		d.bad(n, fmt.Sprintf("%q is not a file mode", n.Value), "write it in octal, such as 0440")
		return 0
	}
	return uint32(v)
}

// items are the elements of a list; a fault and none when n is not one.
func (d *decoder) items(n *tree.Node) []*tree.Node {
	if n.Kind != tree.Sequence {
		d.want(n, "a list")
		return nil
	}
	return n.Items
}

// many are the elements of a list, or n itself when it is a scalar.
func (d *decoder) many(n *tree.Node) []*tree.Node {
	if n.Kind == tree.Scalar {
		return []*tree.Node{n}
	}
	return d.items(n)
}

// unique reads distinct texts from nodes: later duplicates are dropped.
func unique(nodes []*tree.Node, read func(*tree.Node) string) []string {
	out := make([]string, 0, len(nodes))
	seen := make(map[string]bool, len(nodes))
	for _, it := range nodes {
		if s := read(it); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// entry is one line of a mapping that may also be written as a list of "key=value".
type entry struct {
	key   string
	value string
	null  bool // no value was written
	at    *tree.Node
}

// entries reads both forms; the last of equal keys wins.
func (d *decoder) entries(n *tree.Node) []entry {
	switch n.Kind {
	case tree.Mapping:
		out := make([]entry, 0, len(n.Pairs))
		for _, p := range n.Pairs {
			if p.Value.Kind != tree.Scalar {
				at := p.Value
				if redact.Name(p.Key.Value) {
					at = p.Key // the line of the value may be one of a secret, with nothing in it to tell
				}
				d.err(CodeType, at, fmt.Sprintf("%s: expected a string, number, boolean or null but got %s", p.Value.Path, p.Value.What()), "")
				continue
			}
			out = append(out, entry{p.Key.Value, p.Value.Text(), p.Value.IsNull(), p.Value})
		}
		return out
	case tree.Sequence:
		var out keyedList[entry]
		for _, it := range n.Items {
			if it.Kind != tree.Scalar || it.Type != tree.String {
				d.want(it, "a string KEY=value")
				continue
			}
			k, v, ok := strings.Cut(it.Text(), "=")
			e := entry{k, v, !ok, it}
			if k == "" {
				d.bad(it, fmt.Sprintf("%q has no key before =", it.Value), "write KEY=value")
				continue
			}
			out.put(k, e)
		}
		return out.all
	}
	d.want(n, "a mapping or a list of KEY=value")
	return nil
}

// stringMap reads both forms into a map and notes where each value is from.
func (d *decoder) stringMap(n *tree.Node) map[string]string {
	list := d.entries(n)
	m := make(map[string]string, len(list))
	for _, e := range list {
		m[e.key] = e.value
		d.source(n.Path+"."+e.key, e.at)
	}
	return m
}

// source notes that the model's value at path is from n. It is for values whose
// address in the Project is not their address in the file.
func (d *decoder) source(path string, n *tree.Node) {
	d.trail.stands(path, n)
	if path != n.Path {
		d.project.Sources[Path(path)] = n.Range()
	}
}

// command takes null, a command line or a list of words. The result is never nil.
func (d *decoder) command(n *tree.Node) []string {
	if n.Kind == tree.Sequence {
		out := make([]string, 0, len(n.Items))
		for _, it := range n.Items {
			out = append(out, d.str(it))
		}
		return out
	}
	if n.Kind != tree.Scalar || n.Type != tree.String {
		d.want(n, "a string or a list of strings")
		return nil
	}
	words, err := units.Words(n.Value)
	if cut, ok := errors.AsType[*units.ErrTruncated](err); ok {
		d.warn(CodeIgnored, n, fmt.Sprintf("%s: %v", n.Path, cut), "write it as a list: [\"sh\", \"-c\", \"…\"]")
	} else if err != nil {
		d.bad(n, err.Error(), "")
	}
	return words
}
