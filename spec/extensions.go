package spec

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/spec/tree"
)

// extensions are the x- keys of the mapping n, as JSON.
func extensions(n *tree.Node) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	for _, p := range n.Pairs {
		if strings.HasPrefix(p.Key.Value, "x-") {
			if m == nil {
				m = map[string]json.RawMessage{}
			}
			m[p.Key.Value] = appendJSON(nil, p.Value)
		}
	}
	return m
}

// appendJSON writes n as encoding/json writes a map: sorted by key.
func appendJSON(b []byte, n *tree.Node) []byte {
	switch n.Kind {
	case tree.Mapping:
		pairs := slices.Clone(n.Pairs)
		slices.SortFunc(pairs, func(a, b tree.Pair) int { return strings.Compare(a.Key.Value, b.Key.Value) })
		b = append(b, '{')
		for i, p := range pairs {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, p.Key.Value), ':')
			b = appendJSON(b, p.Value)
		}
		return append(b, '}')
	case tree.Sequence:
		b = append(b, '[')
		for i, it := range n.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, it)
		}
		return append(b, ']')
	}
	switch n.Type {
	case tree.Null:
		return append(b, "null"...)
	case tree.Bool, tree.Int:
		return append(b, n.Text()...)
	case tree.Float:
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			if text, err := json.Marshal(f); err == nil { // infinities have no JSON
				return append(b, text...)
			}
		}
	}
	if n.Type == tree.Timestamp {
		if t, ok := n.Time(); ok {
			return appendString(b, t.Format(time.RFC3339Nano))
		}
	}
	return appendString(b, n.Value)
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("spec: a string has no JSON: " + err.Error())
	}
	return append(b, text...)
}
