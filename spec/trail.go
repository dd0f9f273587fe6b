package spec

import (
	"slices"
	"strings"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/dotenv"
	"github.com/stackrun/stack/spec/interp"
	"github.com/stackrun/stack/spec/tree"
)

// trail notes, on the nodes, how values come to be while a file is loaded. The nil
// trail of an ordinary load notes nothing.
type trail struct {
	model *tree.Node
	reset map[string]*tree.Node // by address, what took a value out: !reset, or a name that no variable has a value for
	// final says which node each element of a container is from, where that is not
	// the node at its address: elements that later ones supersede, lists of KEY=value, env files.
	final map[string]*containerTrail
	known map[*tree.Node]string // values that are not the node's text
}

// containerTrail is the elements of a list or mapping as the project has them.
type containerTrail struct {
	paths []string // in order
	nodes map[string]*tree.Node
}

func newTrail() *trail {
	return &trail{reset: map[string]*tree.Node{}, final: map[string]*containerTrail{}, known: map[*tree.Node]string{}}
}

// definedAt is where a variable of the project is defined; zero = in the environment.
func (l *loader) definedAt(name string) diag.Pos { return l.in.EnvFrom[name] }

// watch is sc.lookup that notes on n what is looked up.
func (t *trail) watch(n *tree.Node, sc scope) interp.Lookup {
	if t == nil || !strings.Contains(n.Value, "$") {
		return sc.lookup
	}
	written := n.Value
	return func(name string) (string, bool) {
		v, set := sc.lookup(name)
		use := tree.Use{Name: name, Value: v, Set: set}
		if set {
			use.From = sc.from(name)
		}
		n.Expanded(written, []tree.Use{use})
		return v, set
	}
}

func (t *trail) brought(n *tree.Node, what string, by *tree.Node) {
	if t != nil {
		n.Brought(tree.Step{What: what, At: by.Pos()})
	}
}

func (t *trail) replaces(n, old *tree.Node) {
	if t != nil {
		n.Replaces(old)
	}
}

// resets notes what dropResets is about to take out of a model.
func (t *trail) resets(n *tree.Node, at string) {
	if t == nil || n == nil {
		return
	}
	for _, p := range n.Pairs {
		if p.Value.Mark == tree.Reset {
			t.reset[join(at, p.Key.Value)] = p.Value
		} else {
			t.resets(p.Value, join(at, p.Key.Value))
		}
	}
}

func (t *trail) keep(model *tree.Node) {
	if t != nil {
		t.model = model
	}
}

// container is the trail of the container at path, made when it is new.
func (t *trail) container(path string) *containerTrail {
	c := t.final[path]
	if c == nil {
		c = &containerTrail{nodes: map[string]*tree.Node{}}
		t.final[path] = c
	}
	return c
}

// put makes n the element at path; the one before is superseded.
func (c *containerTrail) put(path string, n *tree.Node) {
	if old := c.nodes[path]; old != nil {
		n.Replaces(old)
	} else {
		c.paths = append(c.paths, path)
	}
	c.nodes[path] = n
}

// stands notes that the project's value at path is n's.
func (t *trail) stands(path string, n *tree.Node) {
	if t == nil {
		return
	}
	if i := strings.LastIndexByte(n.Path, '['); i >= 0 && strings.HasSuffix(n.Path, "]") {
		c := n.Path[:i]
		t.container(c).put(path, n)
		if strings.HasPrefix(path, c+".") {
			if _, value, ok := strings.Cut(n.Value, "="); ok && t.known[n] == "" {
				t.known[n] = value
			}
		}
		return
	}
	for at, c := range t.final { // an entry of a mapping that an env file has begun
		if strings.HasPrefix(path, at+".") {
			c.put(path, n)
		}
	}
}

// fromFile notes the variables that an env file or label file gives to the mapping at path.
func (t *trail) fromFile(path, what, file string, by *tree.Node, entries []dotenv.Entry) {
	if t == nil {
		return
	}
	c := t.container(path)
	for _, e := range entries {
		n := &tree.Node{Value: e.Value, File: file, Line: int32(e.Line)}
		n.Brought(tree.Step{What: what, At: by.Pos()})
		c.put(path+"."+e.Key, n)
	}
}

// taken notes that n, a name without value, has the value v of the project's variable.
func (t *trail) taken(n *tree.Node, name, v string, from diag.Pos) {
	if t == nil {
		return
	}
	t.known[n] = v
	n.Expanded("", []tree.Use{{Name: name, Value: v, Set: true, From: from}})
}

// unset notes that n, a name without value, takes the variable out of the mapping at path.
func (t *trail) unset(path, key string, n *tree.Node) {
	if t == nil {
		return
	}
	at := path + "." + key
	if c := t.final[path]; c != nil && c.nodes[at] != nil {
		n.Replaces(c.nodes[at])
		delete(c.nodes, at)
		c.paths = slices.DeleteFunc(c.paths, func(p string) bool { return p == at })
	}
	n.Expanded("", []tree.Use{{Name: key}})
	t.reset[at] = n
}
