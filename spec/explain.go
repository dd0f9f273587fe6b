package spec

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/redact"
	"github.com/stackrun/stack/spec/tree"
)

// Origin tells where one value of the project comes from.
type Origin struct {
	Path      Path       `json:"path"`
	Value     string     `json:"value"`
	At        diag.Pos   `json:"at"`
	Written   string     `json:"written,omitempty"` // before variables were put in
	Variables []Variable `json:"variables,omitempty"`
	Through   []Step     `json:"through,omitempty"`   // what brought it here from its place, in order
	Overrides []Origin   `json:"overrides,omitempty"` // what it took the place of, latest first
	Reset     bool       `json:"reset,omitempty"`     // it takes a value out, and there is none
	Secret    bool       `json:"secret,omitempty"`
}

// Variable is a variable that a value was made with. From is the line of the env
// file that defines it; zero is the environment.
type Variable struct {
	Name  string    `json:"name"`
	Set   bool      `json:"set"`
	Value string    `json:"value,omitempty"`
	From  *diag.Pos `json:"from,omitempty"`
}

// Step is what brought a value from its place to where it is: an include, an extends,
// an alias, a merge key, an env_file or a label_file.
type Step struct {
	What string   `json:"what"`
	At   diag.Pos `json:"at"`
}

// Explain loads in as Load does, and tells where every value at and below the address
// at comes from, such as "services.web.ports"; an empty one is the whole project. That
// no file says anything there is a fault of code CodeUndefined.
func Explain(ctx context.Context, in Input, at Path) ([]Origin, diag.List) {
	l := newLoader(ctx, in)
	l.trail = newTrail()
	_, list := l.run()
	if list.HasErrors() {
		return nil, list
	}
	x := explainer{trail: l.trail}
	x.value(l.trail.model, "", "", schema.Root(), false)
	x.resets()
	found := slices.DeleteFunc(slices.Clone(x.out), func(o Origin) bool { return !within(o.Path, at) })
	if len(found) == 0 {
		// The value that the address is a part of: "8080:80" for ports[0].target.
		found = slices.DeleteFunc(slices.Clone(x.out), func(o Origin) bool { return !within(at, o.Path) })
	}
	if len(found) == 0 {
		l.err(CodeUndefined, nil, "no file says "+string(at), cmp.Or(x.variable(string(at)), x.near(at)))
		return nil, l.List()
	}
	return found, list
}

// within says whether p is at or below the address of.
func within(p, of Path) bool {
	rest, ok := strings.CutPrefix(string(p), string(of))
	return ok && (of == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// explainer lists the origins of a model's values.
type explainer struct {
	*trail
	out []Origin
}

// resets lists what was taken out, unless a later file has it again.
func (x *explainer) resets() {
	for _, path := range sortedKeys(x.reset) {
		o := x.origin(x.reset[path], path, "", true)
		o.Value, o.Reset = "", true
		switch i := slices.IndexFunc(x.out, func(other Origin) bool { return within(other.Path, o.Path) }); {
		case i < 0:
			x.out = append(x.out, o)
		case x.out[i].At == o.At:
			x.out[i] = o
		}
	}
}

// value lists n, which is at path. key is its name in the mapping around it; open says
// that the file's author chose it. s is its place in the language.
func (x *explainer) value(n *tree.Node, path, key string, s *schema.Node, open bool) {
	c := x.final[path]
	empty := n.Kind != tree.Scalar && c == nil && len(n.Pairs)+len(n.Items) == 0
	if n.Kind == tree.Scalar && c == nil || empty || n.Origin != nil && len(n.Origin.Replaced) > 0 {
		x.out = append(x.out, x.origin(n, path, key, open))
	}
	free := s == nil || s.Keys == nil && s.Any == nil
	if c != nil {
		for _, p := range c.paths {
			name, _ := strings.CutPrefix(p, path+".")
			var elem *schema.Node
			if s != nil {
				elem = s.Elem
			}
			x.value(c.nodes[p], p, name, elem, free)
		}
		return
	}
	for _, p := range n.Pairs {
		x.value(p.Value, join(path, p.Key.Value), p.Key.Value, below(s, p.Key.Value), free)
	}
	for i, it := range n.Items {
		var elem *schema.Node
		if s != nil {
			elem = s.Elem
		}
		x.value(it, path+"["+itoa(i)+"]", "", elem, false)
	}
}

func (x *explainer) origin(n *tree.Node, path, key string, open bool) Origin {
	o := Origin{Path: Path(path), Value: flow(n, 0), At: n.Pos()}
	if v, ok := x.known[n]; ok {
		o.Value = v
	}
	if !open || key == "" { // the name may be in the value
		key, _, _ = strings.Cut(o.Value, "=")
		open = strings.Contains(o.Value, "=")
	}
	o.Secret = open && redact.Name(key) || redact.Value(o.Value)
	if n.Origin == nil {
		return o
	}
	o.Written = n.Origin.Written
	for _, u := range n.Origin.Uses {
		v := Variable{Name: u.Name, Set: u.Set, Value: u.Value}
		if u.From != (diag.Pos{}) {
			v.From = &u.From
		}
		o.Secret = o.Secret || redact.Name(u.Name) || redact.Value(u.Value)
		o.Variables = append(o.Variables, v)
	}
	for _, s := range n.Origin.Through {
		o.Through = append(o.Through, Step(s))
	}
	for _, old := range slices.Backward(n.Origin.Replaced) {
		was := x.origin(old, path, key, open)
		was.Secret = was.Secret || o.Secret
		before := was.Overrides
		was.Overrides = nil
		o.Overrides = append(append(o.Overrides, was), before...)
	}
	return o
}

// maxFlow bounds the text of a value that is not a scalar, bytes.
const maxFlow = 400

// flow is the text of a value on one line.
func flow(n *tree.Node, depth int) string {
	var parts []string
	size := 0
	add := func(s string) bool {
		if size += len(s); size > maxFlow || depth > 8 {
			parts = append(parts, "…")
			return false
		}
		parts = append(parts, s)
		return true
	}
	switch n.Kind {
	case tree.Scalar:
		if n.Type == tree.Null {
			return "null"
		}
		return n.Value
	case tree.Sequence:
		for _, it := range n.Items {
			if !add(flow(it, depth+1)) {
				break
			}
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	for _, p := range n.Pairs {
		v := flow(p.Value, depth+1)
		if redact.Name(p.Key.Value) && p.Value.Kind == tree.Scalar {
			v = redact.Hidden
		}
		if !add(p.Key.Value + ": " + v) {
			break
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// variable is the hint for a name that is no address but a variable's: what the files say with it. "" = none of that name.
func (x *explainer) variable(name string) string {
	var made []string
	for _, o := range x.out {
		uses := slices.ContainsFunc(o.Variables, func(v Variable) bool { return v.Name == name })
		if uses || strings.HasSuffix(string(o.Path), ".environment."+name) {
			made = append(made, string(o.Path))
		}
	}
	if len(made) == 0 {
		return ""
	}
	if len(made) > 5 {
		made = append(made[:5], "…")
	}
	return "that is a variable; give the address of a value: " + strings.Join(made, ", ")
}

// near is the hint for an address where nothing is: what there is around it.
func (x *explainer) near(at Path) string {
	for at != "" {
		i := max(strings.LastIndexByte(string(at), '.'), strings.LastIndexByte(string(at), '['))
		wrong := strings.Trim(string(at[i+1:]), "]")
		at = at[:max(i, 0)]
		var names []string
		for _, o := range x.out {
			if rest, ok := strings.CutPrefix(string(o.Path), string(at)); ok && rest != "" && (at == "" || rest[0] == '.' || rest[0] == '[') {
				rest = strings.TrimPrefix(rest, ".")
				if end := strings.IndexAny(rest[1:], ".["); end >= 0 {
					rest = rest[:end+1]
				}
				names = append(names, rest)
			}
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 0 {
			where := "the files have there: "
			if at != "" {
				where = "the files say of " + string(at) + ": "
			}
			if s := suggest(wrong, names); strings.HasPrefix(s, "did you") {
				return s
			}
			if len(names) > 30 {
				names = append(names[:30], "…")
			}
			return where + strings.Join(names, ", ")
		}
	}
	return ""
}

// onlyVariable is a text that is nothing but a variable.
var onlyVariable = lazyregexp.New(`^\$(\w+|\{\w+\})$`)

// Redacted is o without what may be secret: values under telling names, made with
// variables of telling names, or URLs with a password.
func (o Origin) Redacted() Origin {
	hide := func(s *string) {
		if *s != "" {
			*s = redact.Hidden
		}
	}
	o.Variables, o.Overrides = slices.Clone(o.Variables), slices.Clone(o.Overrides)
	if o.Secret {
		hide(&o.Value)
		if !onlyVariable.MatchString(o.Written) {
			hide(&o.Written)
		}
		for i := range o.Variables {
			hide(&o.Variables[i].Value)
		}
	}
	for i := range o.Overrides {
		o.Overrides[i] = o.Overrides[i].Redacted()
	}
	return o
}
