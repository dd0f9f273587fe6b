package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/tree"
)

// checkKeys walks the model along the table of the language: what the table does
// not know is an error; what it refuses is one for who runs it, and says why; what
// has no effect is a warning.
func (l *loader) checkKeys(model *tree.Node) {
	l.keysBelow(model, schema.Root())
}

func (l *loader) keysBelow(n *tree.Node, s *schema.Node) {
	switch n.Kind {
	case tree.Sequence:
		if s.Elem != nil {
			for _, it := range n.Items {
				l.keysBelow(it, s.Elem)
			}
		}
	case tree.Mapping:
		switch {
		case s.Keys != nil:
			l.fixedKeys(n, s)
		case s.Any != nil:
			for _, p := range n.Pairs {
				if l.top(n) {
					l.owner = owner{n.Path, p.Key.Value}
				}
				if n.Path == "services" || !strings.HasPrefix(p.Key.Value, "x-") {
					l.keysBelow(p.Value, s.Any)
				}
			}
		}
	}
}

func (l *loader) fixedKeys(n *tree.Node, s *schema.Node) {
	for _, p := range n.Pairs {
		key := p.Key.Value
		if n.Path == "" {
			l.owner = owner{}
		}
		below := s.Keys[key]
		if strings.HasPrefix(key, "x-") && below == nil {
			continue
		}
		if below == nil {
			if l.Count(diag.Error) {
				continue
			}
			where, hint := "at the top of the file", ""
			if n.Path != "" {
				where = "in " + n.Path
			} else {
				hint = strayAtTop(key, p.Value)
			}
			l.err(CodeUnknownKey, p.Key, fmt.Sprintf("%q %s", key, where), cmp.Or(hint, among(&l.faults, key, s.Keys)))
			continue
		}
		if below.Path == "services.*.runtime" && p.Value.Value == "runc" {
			l.note(p.Key, "runtime: stack is its own runtime, runc is not run", "remove the key")
		}
		switch below.Level {
		case schema.Refused:
			if below.Reason != "" && !harmless(below.Path, p.Value) {
				l.refuse(CodeRefused, p.Key, fmt.Sprintf("%s: %s", key, below.Reason), "remove the key")
			}
		case schema.Warned:
			if below.Reason != "" && !harmless(below.Path, p.Value) {
				l.note(p.Key, fmt.Sprintf("%s: %s", key, below.Reason), "")
			}
		}
		if p.Value.IsNull() && !below.About.MayBeNull() {
			l.err(CodeType, p.Key, fmt.Sprintf("%s: expected a value (%s) but got null", p.Key.Path, below.About.Form), "give it a value, or remove the key")
			continue
		}
		l.keysBelow(p.Value, below)
	}
}

// top says whether n is one of the top-level sections, whose entries own what is below them.
func (l *loader) top(n *tree.Node) bool {
	switch n.Path {
	case "services", "networks", "volumes", "configs", "secrets":
		return true
	}
	return false
}

// harmless says that an attribute without effect has a value that asks for nothing.
func harmless(path string, v *tree.Node) bool {
	switch {
	case v.IsNull():
		return true
	case v.Kind == tree.Mapping:
		return len(v.Pairs) == 0
	case v.Kind == tree.Sequence:
		return len(v.Items) == 0 || path == "services.*.build.entitlements" && !slices.ContainsFunc(v.Items, func(it *tree.Node) bool { return it.Value != "network.host" })
	}
	switch path {
	case "services.*.use_api_socket", "services.*.build.provenance", "services.*.build.sbom":
		return v.Value == "false"
	case "services.*.build.isolation":
		return v.Value == "default"
	case "services.*.deploy.mode":
		return v.Value == "replicated"
	case "services.*.deploy.endpoint_mode":
		return v.Value == "vip"
	case "services.*.runtime":
		return v.Value == "" || v.Value == "runc" || v.Value == nvidia
	}
	return false
}
