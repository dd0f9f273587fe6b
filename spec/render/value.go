package render

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/spec/interp"
)

// value is what both formats can write: scalar, list or object.
type value interface {
	yaml() *yaml.Node
	json(*bytes.Buffer)
}

type text string    // quoted where YAML would take it for something else
type literal string // text that was not interpolated: its dollar signs are as in the file
type integer int64  // a number
type float float64  // a number
type boolean bool   //
type null struct{}  //
type list []value   //
type object []field // in order

type field struct {
	key   string
	value value
}

// add appends a field; nil values are left out.
func (o *object) add(key string, v value) {
	if v != nil {
		*o = append(*o, field{key, v})
	}
}

func (v text) yaml() *yaml.Node        { return literal(interp.Escape(string(v))).yaml() }
func (v text) json(b *bytes.Buffer)    { quote(b, interp.Escape(string(v))) }
func (v literal) json(b *bytes.Buffer) { quote(b, string(v)) }

func (v literal) yaml() *yaml.Node {
	n := &yaml.Node{}
	n.SetString(string(v))
	if old(n.Value) {
		n.Style = yaml.SingleQuotedStyle
	}
	if strings.HasPrefix(n.Value, "\n") {
		n.Style = yaml.DoubleQuotedStyle // yaml.v3 loses the first line break of a block
	}
	return n
}

// base60 is a number to readers of YAML 1.1: a user and a group are written as one (33:33). https://yaml.org/type/int.html, https://yaml.org/type/float.html
var base60 = lazyregexp.New(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)

// old says whether s is something else than a string to readers of YAML 1.1 only: a boolean, a merge, a default value, a number.
func old(s string) bool {
	switch strings.ToLower(s) {
	case "y", "yes", "on", "n", "no", "off", "<<", "=":
		return true
	}
	return strings.Contains(s, ":") && base60.MatchString(s)
}

// quote writes s as encoding/json does, < > and & as they are.
func quote(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	// A string always encodes; the encoder's newline is taken back.
	if enc.Encode(s) == nil {
		b.Truncate(b.Len() - 1)
	}
}

func plain(tag, s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s}
}

func (v integer) yaml() *yaml.Node     { return plain("!!int", strconv.FormatInt(int64(v), 10)) }
func (v integer) json(b *bytes.Buffer) { b.WriteString(strconv.FormatInt(int64(v), 10)) }

func (v float) String() string       { return strconv.FormatFloat(float64(v), 'g', -1, 64) }
func (v float) yaml() *yaml.Node     { return figure(v.String()).yaml() }
func (v float) json(b *bytes.Buffer) { b.WriteString(v.String()) }

func (v boolean) yaml() *yaml.Node     { return plain("!!bool", strconv.FormatBool(bool(v))) }
func (v boolean) json(b *bytes.Buffer) { b.WriteString(strconv.FormatBool(bool(v))) }

func (null) yaml() *yaml.Node     { return plain("!!null", "null") }
func (null) json(b *bytes.Buffer) { b.WriteString("null") }

func (v list) yaml() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(v) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, e := range v {
		n.Content = append(n.Content, e.yaml())
	}
	return n
}

func (v list) json(b *bytes.Buffer) {
	b.WriteByte('[')
	for i, e := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		e.json(b)
	}
	b.WriteByte(']')
}

func (v object) yaml() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if len(v) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, f := range v {
		switch f.value.(type) {
		case jsonOnly, jsonOnlyNull, jsonOnlyObject:
			continue
		}
		n.Content = append(n.Content, text(f.key).yaml(), f.value.yaml())
	}
	return n
}

func (v object) json(b *bytes.Buffer) {
	b.WriteByte('{')
	first := true
	for _, f := range v {
		if _, only := f.value.(yamlOnly); only {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		text(f.key).json(b)
		b.WriteByte(':')
		f.value.json(b)
	}
	b.WriteByte('}')
}

// jsonOnly is an empty object that docker compose writes in JSON and leaves out in
// YAML: encoding/json's omitempty does not know empty structs, yaml's does.
type jsonOnly struct{}

func (jsonOnly) yaml() *yaml.Node     { return object{}.yaml() }
func (jsonOnly) json(b *bytes.Buffer) { b.WriteString("{}") }

func str(s string) value {
	if s == "" {
		return nil
	}
	return text(s)
}

func yes(b bool) value {
	if !b {
		return nil
	}
	return boolean(true)
}

func number[T ~int | ~int64 | ~uint64 | ~uint32](n T) value {
	if n == 0 {
		return nil
	}
	return integer(n)
}

func real(f float64) value {
	if f == 0 {
		return nil
	}
	return float(f)
}

// size is a number of bytes: docker compose writes it as a string.
func size(n int64) value {
	if n == 0 {
		return nil
	}
	return text(strconv.FormatInt(n, 10))
}

func texts(l []string) value {
	if len(l) == 0 {
		return nil
	}
	return words(l)
}

func words(l []string) list {
	out := make(list, len(l))
	for i, s := range l {
		out[i] = text(s)
	}
	return out
}

func textMap(m map[string]string) value {
	if len(m) == 0 {
		return nil
	}
	return sorted(m, func(s string) value { return text(s) })
}

func sorted[V any](m map[string]V, f func(V) value) object {
	out := make(object, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.add(k, f(m[k]))
	}
	return out
}

func writeYAML(w io.Writer, v value) error {
	text, err := emit(v.yaml())
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

func writeJSON(w io.Writer, v value) error {
	var flat, b bytes.Buffer
	v.json(&flat)
	if err := json.Indent(&b, flat.Bytes(), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// yamlOnly is what only YAML shows: docker compose leaves the x- keys of services out of JSON.
type yamlOnly struct{ value }

// jsonOnlyNull is a null that YAML leaves out.
type jsonOnlyNull struct{ null }

// jsonOnlyObject is an object that only JSON shows.
type jsonOnlyObject object

func (v jsonOnlyObject) yaml() *yaml.Node     { return object(v).yaml() }
func (v jsonOnlyObject) json(b *bytes.Buffer) { object(v).json(b) }

// capital is an object whose keys YAML has in lower case.
type capital object

func (v capital) yaml() *yaml.Node {
	low := make(object, len(v))
	for i, f := range v {
		low[i] = field{strings.ToLower(f.key), f.value}
	}
	return low.yaml()
}

func (v capital) json(b *bytes.Buffer) { object(v).json(b) }

// verbatim is a value of the file that nothing looked into, as JSON.
type verbatim json.RawMessage

// tree is the value that both formats write; numbers keep their text.
func (v verbatim) tree() value {
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	var a any
	if dec.Decode(&a) != nil {
		return null{}
	}
	return anyValue(a)
}

func (v verbatim) yaml() *yaml.Node     { return v.tree().yaml() }
func (v verbatim) json(b *bytes.Buffer) { v.tree().json(b) }

// asWritten is v for a model that was not interpolated.
func asWritten(v value) value {
	switch v := v.(type) {
	case text:
		return literal(v)
	case list:
		out := make(list, len(v))
		for i, e := range v {
			out[i] = asWritten(e)
		}
		return out
	case object:
		out := make(object, len(v))
		for i, f := range v {
			out[i] = field{f.key, asWritten(f.value)}
		}
		return out
	}
	return v
}

// figure is a number as its text.
type figure string

func (v figure) yaml() *yaml.Node {
	if strings.ContainsAny(string(v), ".eE") {
		return plain("!!float", string(v))
	}
	return plain("!!int", string(v))
}

func (v figure) json(b *bytes.Buffer) { b.WriteString(string(v)) }

func anyValue(a any) value {
	switch a := a.(type) {
	case string:
		return text(a)
	case bool:
		return boolean(a)
	case json.Number:
		return figure(a)
	case []any:
		l := make(list, len(a))
		for i, e := range a {
			l[i] = anyValue(e)
		}
		return l
	case map[string]any:
		return sorted(a, anyValue)
	}
	return null{}
}
