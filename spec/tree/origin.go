package tree

import (
	"slices"

	"github.com/stackrun/stack/spec/diag"
)

// Origin is how a value came to be what it is. It is only there when somebody asked
// for it (ParseTraced), and it is replaced, never changed: clones share it.
type Origin struct {
	Written  string  // the text before variables were put in; "" when there were none
	Uses     []Use   // the variables, in the order they were looked up
	Through  []Step  // what brought the value from its place to where it is, in order
	Replaced []*Node // what it took the place of, latest first; each may have replaced others
}

// Use is one look at a variable.
type Use struct {
	Name  string
	Value string
	Set   bool
	From  diag.Pos // the line of an env file; zero = the environment
}

// Step is something that brings a value from elsewhere.
type Step struct {
	What string // "include", "extends", "alias", "merge key", "env_file", "label_file"
	At   diag.Pos
}

// change gives n an origin of its own.
func (n *Node) change(f func(*Origin)) {
	var o Origin
	if n.Origin != nil {
		o = *n.Origin
		// Appending must not write where a clone reads.
		o.Uses, o.Through, o.Replaced = slices.Clip(o.Uses), slices.Clip(o.Through), slices.Clip(o.Replaced)
	}
	f(&o)
	n.Origin = &o
}

// Expanded notes that n's text was written with variables.
func (n *Node) Expanded(written string, uses []Use) {
	n.change(func(o *Origin) { o.Written, o.Uses = written, append(o.Uses, uses...) })
}

// Replaces notes that n is where old would be.
func (n *Node) Replaces(old *Node) {
	if n != old {
		n.change(func(o *Origin) { o.Replaced = append(o.Replaced, old) })
	}
}

// Brought notes that everything of n came by s.
func (n *Node) Brought(s Step) {
	n.change(func(o *Origin) { o.Through = append(o.Through, s) })
	for _, p := range n.Pairs {
		p.Value.Brought(s)
	}
	for _, it := range n.Items {
		it.Brought(s)
	}
}
