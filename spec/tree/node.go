package tree

import (
	"strconv"
	"time"

	"github.com/stackrun/stack/spec/diag"
)

// Kind of a Node.
type Kind uint8

const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// Type of a scalar, as the YAML 1.2 core schema resolves it.
type Type uint8

const (
	String Type = iota
	Null
	Bool
	Int
	Float
	Timestamp
)

// Mark is what a Compose tag asks of the merge.
type Mark uint8

const (
	None     Mark = iota
	Reset         // !reset: drop this key
	Override      // !override: use this value, do not merge
)

// Node is one value of a file.
type Node struct {
	Kind  Kind
	Type  Type // scalars
	Mark  Mark
	Plain bool // scalar without quotes or block style: its text starts at Pos
	// Interpolated says that Value differs from the file's text.
	Interpolated bool
	// Block says that the scalar is a literal or folded block: its text starts a line below Pos.
	Block bool

	Value string // scalars: the text
	Pairs []Pair // mappings, in the file's order
	Items []*Node

	// Path is the node's address in the merged model; the loader sets it.
	Path string
	// Origin is how the value came to be, for who asked.
	Origin *Origin

	File   string
	Line   int32
	Column int32

	index *index // of Pairs, when there are many
}

// Pair is one entry of a mapping. Key is a scalar.
type Pair struct{ Key, Value *Node }

// Pos is where n starts.
func (n *Node) Pos() diag.Pos {
	return diag.Pos{File: n.File, Line: int(n.Line), Column: int(n.Column)}
}

// Range covers a scalar written on one line; anything else is a point.
func (n *Node) Range() diag.Range {
	r := diag.Range{Start: n.Pos()}
	if n.Kind == Scalar && n.Plain && !n.Interpolated && n.Value != "" && n.Line > 0 {
		r.End = r.Start
		r.End.Column += runes(n.Value)
	}
	return r
}

func runes(s string) int {
	c := 0
	for range s {
		c++
	}
	return c
}

// IsNull says whether n is absent or YAML's null.
func (n *Node) IsNull() bool {
	return n == nil || n.Kind == Scalar && n.Type == Null
}

// Get is the value of key, nil when there is none.
func (n *Node) Get(key string) *Node {
	if p := n.Pair(key); p != nil {
		return p.Value
	}
	return nil
}

// Pair is the entry of key, nil when there is none.
func (n *Node) Pair(key string) *Pair {
	if n == nil {
		return nil
	}
	if len(n.Pairs) > scan {
		if n.index == nil {
			n.index = &index{}
		}
		return n.index.pair(n.Pairs, key)
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key.Value == key {
			return &n.Pairs[i]
		}
	}
	return nil
}

// Set replaces or appends an entry.
func (n *Node) Set(key, value *Node) {
	if p := n.Pair(key.Value); p != nil {
		p.Key, p.Value = key, value
		return
	}
	n.Pairs = append(n.Pairs, Pair{key, value})
}

// Delete drops the entry of key.
func (n *Node) Delete(key string) {
	for i := range n.Pairs {
		if n.Pairs[i].Key.Value == key {
			n.Pairs, n.index = append(n.Pairs[:i:i], n.Pairs[i+1:]...), nil
			return
		}
	}
}

// At makes a scalar of text that stands where n stands.
func (n *Node) At(text string) *Node {
	return &Node{Value: text, File: n.File, Line: n.Line, Column: n.Column, Interpolated: true, Origin: n.Origin}
}

// Like makes an empty node of kind k that stands where n stands.
func (n *Node) Like(k Kind) *Node {
	return &Node{Kind: k, Mark: n.Mark, File: n.File, Line: n.Line, Column: n.Column, Origin: n.Origin}
}

// Clone copies n and everything below it.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := *n
	c.index = nil
	if n.Pairs != nil {
		c.Pairs = make([]Pair, len(n.Pairs))
		for i, p := range n.Pairs {
			k := *p.Key
			c.Pairs[i] = Pair{&k, p.Value.Clone()}
		}
	}
	if n.Items != nil {
		c.Items = make([]*Node, len(n.Items))
		for i, it := range n.Items {
			c.Items[i] = it.Clone()
		}
	}
	return &c
}

// What names n's kind for messages: "a string", "a list".
func (n *Node) What() string {
	switch {
	case n.Kind == Sequence:
		return "a list"
	case n.Kind == Mapping:
		return "a mapping"
	}
	switch n.Type {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Int, Float:
		return "a number"
	case Timestamp:
		return "a date"
	}
	return "a string"
}

// Text is a scalar as docker compose turns it into a string: integers in base 10
// (017 is 15), floats in their shortest form (1e3 is 1000), dates in Go's long form.
func (n *Node) Text() string {
	switch n.Type {
	case Null:
		return ""
	case Bool:
		if b, err := strconv.ParseBool(n.Value); err == nil {
			return strconv.FormatBool(b)
		}
	case Int:
		if i, ok := n.Int(); ok {
			return strconv.FormatInt(i, 10)
		}
	case Float:
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
	case Timestamp:
		if t, ok := n.Time(); ok {
			return t.String()
		}
	}
	return n.Value
}

// Time is the value of a date.
func (n *Node) Time() (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-1-2T15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999", "2006-1-2"} {
		if t, err := time.Parse(layout, n.Value); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// Int is the value of an integer scalar, in any base YAML knows.
func (n *Node) Int() (int64, bool) {
	i, err := strconv.ParseInt(n.Value, 0, 64)
	return i, err == nil
}
