package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec/tree"
)

// merge joins a later document into an earlier one. Nodes keep their places.
func (l *loader) merge(base, over *tree.Node) *tree.Node {
	return l.join(base, over, schema.Root(), "")
}

// join merges over into base, both at place s (nil = unknown, the check of keys
// will tell); at is the address for messages. base may be changed.
func (l *loader) join(base, over *tree.Node, s *schema.Node, at string) *tree.Node {
	if over.Mark == tree.Reset || over.Mark == tree.Override || base.Mark == tree.Reset {
		l.trail.replaces(over, base)
		return over
	}
	r := byDefault
	if s != nil {
		r = ruleOf()[s]
	}
	switch {
	case r == replaceWhole:
		l.trail.replaces(over, base)
		return over
	case over.IsNull():
		return base
	case base.IsNull():
		return over
	}
	switch r {
	case keyed:
		return l.joinKeyed(toKeyed(base), toKeyed(over))
	case named:
		base, over = toNamed(base, at), toNamed(over, at)
	case contextOrMap:
		base, over = toMap(base, "context"), toMap(over, "context")
	case oneOrMany:
		base, over = toList(base), toList(over)
	case hostList:
		base, over = toHosts(base), toHosts(over)
	case sameDriver:
		base = l.keepDriver(base, over)
	case bySubnet:
		return l.joinBySubnet(base, over, s, at)
	}
	switch {
	case base.Kind == tree.Mapping && over.Kind == tree.Mapping:
		for _, p := range over.Pairs {
			old := base.Pair(p.Key.Value)
			if old == nil || r == perKey {
				l.set(base, p)
				continue
			}
			merged := l.join(old.Value, p.Value, below(s, p.Key.Value), join(at, p.Key.Value))
			if merged == p.Value {
				old.Key = p.Key
			}
			old.Value = merged
		}
		return base
	case base.Kind == tree.Sequence && over.Kind == tree.Sequence:
		base.Items = append(base.Items[:len(base.Items):len(base.Items)], over.Items...)
		return base
	case base.Kind == tree.Scalar && over.Kind == tree.Scalar:
		l.trail.replaces(over, base)
		return over
	}
	l.err(CodeMerge, over, fmt.Sprintf("%s is %s here and %s at %s", at, over.What(), base.What(), base.Pos()), "write both in the same form, or tag this one with !override")
	return base
}

func below(s *schema.Node, key string) *schema.Node {
	if s == nil {
		return nil
	}
	if k := s.Keys[key]; k != nil {
		return k
	}
	return s.Any
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// toKeyed turns the list form of "key=value" into the mapping form. An item without
// = has null for value, as a mapping's "key:" has.
func toKeyed(n *tree.Node) *tree.Node {
	if n.Kind != tree.Sequence {
		return n
	}
	m := n.Like(tree.Mapping)
	for _, it := range n.Items {
		if it.Kind != tree.Scalar {
			return n // the decoder reports it
		}
		key, value, ok := strings.Cut(it.Text(), "=")
		v := it.At(value)
		if !ok {
			v.Type = tree.Null
		}
		m.Set(it.At(key), v)
	}
	return m
}

func (l *loader) joinKeyed(base, over *tree.Node) *tree.Node {
	if base.Kind != tree.Mapping || over.Kind != tree.Mapping {
		return over
	}
	for _, p := range over.Pairs {
		l.set(base, p)
	}
	return base
}

// set gives base the entry p, in place of an earlier one.
func (l *loader) set(base *tree.Node, p tree.Pair) {
	if l.trail != nil {
		if old := base.Get(p.Key.Value); old != nil {
			p.Value.Replaces(old)
		}
	}
	base.Set(p.Key, p.Value)
}

// toNamed turns a list of names into a mapping of them.
func toNamed(n *tree.Node, at string) *tree.Node {
	if n.Kind != tree.Sequence {
		return n
	}
	m := n.Like(tree.Mapping)
	for _, it := range n.Items {
		if it.Kind != tree.Scalar {
			return n
		}
		v := it.Like(tree.Scalar)
		v.Type = tree.Null
		if strings.HasSuffix(at, ".depends_on") {
			v = it.Like(tree.Mapping)
			yes := it.At("true")
			yes.Type = tree.Bool
			v.Pairs = []tree.Pair{{Key: it.At("condition"), Value: it.At(string(ServiceStarted))}, {Key: it.At("required"), Value: yes}}
		}
		m.Set(it.At(it.Value), v)
	}
	return m
}

func toMap(n *tree.Node, key string) *tree.Node {
	if n.Kind != tree.Scalar {
		return n
	}
	m := n.Like(tree.Mapping)
	m.Pairs = []tree.Pair{{Key: n.At(key), Value: n}}
	return m
}

func toList(n *tree.Node) *tree.Node {
	if n.Kind != tree.Scalar {
		return n
	}
	s := n.Like(tree.Sequence)
	s.Items = []*tree.Node{n}
	return s
}

func toHosts(n *tree.Node) *tree.Node {
	if n.Kind != tree.Mapping {
		return n
	}
	s := n.Like(tree.Sequence)
	for _, p := range n.Pairs {
		for _, it := range toList(p.Value).Items {
			s.Items = append(s.Items, it.At(p.Key.Value+"="+it.Value))
		}
	}
	return s
}

// keepDriver drops base's logging options when over changes the driver.
func (l *loader) keepDriver(base, over *tree.Node) *tree.Node {
	a, b := base.Get("driver"), over.Get("driver")
	if a == nil || b == nil || a.Value == b.Value {
		return base
	}
	l.trail.replaces(b, a)
	return base.Like(tree.Mapping)
}

func (l *loader) joinBySubnet(base, over *tree.Node, s *schema.Node, at string) *tree.Node {
	if base.Kind != tree.Sequence || over.Kind != tree.Sequence {
		return over
	}
	first := map[string]int{} // the place of each subnet, from 1
	note := func(n *tree.Node, i int) {
		if subnet := n.Get("subnet"); subnet != nil && first[subnet.Value] == 0 {
			first[subnet.Value] = i + 1
		}
	}
	for i, old := range base.Items {
		note(old, i)
	}
	base.Items = slices.Clip(base.Items)
	for _, it := range over.Items {
		if subnet := it.Get("subnet"); subnet != nil && first[subnet.Value] > 0 {
			i := first[subnet.Value] - 1
			base.Items[i] = l.join(base.Items[i], it, s.Elem, at)
			continue
		}
		note(it, len(base.Items))
		base.Items = append(base.Items, it)
	}
	return base
}

// dropResets removes what !reset marks, once everything is merged. On the element
// of a list the tag has no effect, as in docker compose.
func dropResets(n *tree.Node) {
	if n == nil {
		return
	}
	kept := n.Pairs[:0]
	for _, p := range n.Pairs {
		if p.Value.Mark != tree.Reset {
			dropResets(p.Value)
			kept = append(kept, p)
		}
	}
	n.Pairs = kept
	for _, it := range n.Items {
		dropResets(it)
	}
}
