package schema

import (
	"strings"
	"sync"
)

// Level is what becomes of an attribute when containers are made of the file. All
// attributes are read, checked and shown by config.
type Level uint8

const (
	Supported Level = iota
	Warned          // read and shown, without effect; a warning says why
	Refused         // read and shown; an error for who runs it, that says why
)

func (l Level) String() string {
	return [...]string{"supported", "warned", "refused"}[l]
}

// Attribute is one line of the table. Path names it from the top of the file: * is
// any key, [] the elements of a list ("services.*.ports[].target").
type Attribute struct {
	Path   string
	Level  Level
	Reason string
}

// Extension says whether a is one that the language does not have, under a name that it leaves to others.
func (a *Attribute) Extension() bool {
	return strings.HasPrefix(a.Path[strings.LastIndexByte(a.Path, '.')+1:], "x-")
}

// Node is a place in the language: what may stand below it.
type Node struct {
	*Attribute                  // nil for the places between attributes ("services.*")
	About      *Described       // nil for places that nobody writes by themselves: elements of lists
	Keys       map[string]*Node // fixed keys; nil = none
	Any        *Node            // the value of any key
	Elem       *Node            // elements of a list
}

// Root is the top of a file. The result is shared: do not change it.
var Root = sync.OnceValue(func() *Node {
	root := &Node{}
	for i := range Attributes {
		root.place(Attributes[i].Path).Attribute = &Attributes[i]
	}
	for _, section := range descriptions {
		for i := range section {
			root.place(section[i].Path).About = &section[i]
		}
	}
	return root
})

func (n *Node) place(path string) *Node {
	for part := range strings.SplitSeq(path, ".") {
		name := strings.TrimSuffix(part, "[]")
		if name == "*" {
			if n.Any == nil {
				n.Any = &Node{}
			}
			n = n.Any
		} else {
			if n.Keys == nil {
				n.Keys = map[string]*Node{}
			}
			next := n.Keys[name]
			if next == nil {
				next = &Node{}
				n.Keys[name] = next
			}
			n = next
		}
		if name != part {
			if n.Elem == nil {
				n.Elem = &Node{}
			}
			n = n.Elem
		}
	}
	return n
}

// At is the place of path, nil when the language has none. path is written as in Attribute.
func At(path string) *Node {
	n := Root()
	for part := range strings.SplitSeq(path, ".") {
		if n == nil || path == "" {
			return n
		}
		name := strings.TrimSuffix(part, "[]")
		if name == "*" {
			n = n.Any
		} else {
			n = n.Keys[name]
		}
		if name != part && n != nil {
			n = n.Elem
		}
	}
	return n
}
