package spec

import (
	"fmt"
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec/tree"
)

// What of a file has the wrong shape is most often one of a few slips of the pen: a line that is indented too little, a colon without
// its space, a list where names are meant. The hints here say which.

// glued is a key and its value without what has to stand between them: "image:nginx", "image nginx".
var glued = lazyregexp.New(`^([a-z][a-z_]*)(:\s*|\s+)(\S.*)$`)

// slip is the hint for n, where expected was, "" when there is none.
func slip(n *tree.Node, expected string) string {
	mapping := strings.HasPrefix(expected, "a mapping")
	switch {
	case n.Kind == tree.Scalar && n.Type != tree.Null && strings.HasPrefix(expected, "a string"):
		return fmt.Sprintf("quote it: %q", n.Value)
	case n.Kind == tree.Scalar && n.Type != tree.Null && expected == "a list" && takesTexts(n.Path) && !strings.ContainsAny(n.Value, "\n,[]{}\"'"):
		return fmt.Sprintf("write a list: [%q]", n.Value)
	case n.Kind == tree.Mapping && expected == "a string KEY=value" && len(n.Pairs) == 1 && n.Pairs[0].Value.Kind == tree.Scalar:
		return fmt.Sprintf("write %s=VALUE, or remove the \"- \" before each", n.Pairs[0].Key.Value) // the value may be a secret
	case !mapping:
		return ""
	case serviceOf(n.Path) != "" && isServiceKey(serviceOf(n.Path)):
		return misplaced(serviceOf(n.Path))
	case n.IsNull():
		return "indent what belongs to it further than its name"
	case n.Kind == tree.Sequence && (n.Path == "services" || serviceOf(n.Path) != ""):
		return "names and keys have no \"- \" before them"
	case n.Kind == tree.Scalar && strings.Contains(n.Path, ".depends_on."):
		return "write {condition: service_started}, service_healthy or service_completed_successfully"
	case n.Kind == tree.Scalar && serviceOf(n.Path) != "":
		if m := glued.FindStringSubmatch(n.Value); m != nil && isServiceKey(m[1]) {
			return fmt.Sprintf("write a colon and a space: %s: %s", m[1], m[3])
		}
	}
	return ""
}

// takesTexts says whether the list at path may have texts in it: of what a service has, where such slips are made.
func takesTexts(path string) bool {
	parts := strings.Split(path, ".")
	if len(parts) != 3 || parts[0] != "services" {
		return path == "include"
	}
	if n := schema.At("services.*").Keys[parts[2]]; n != nil && n.About != nil {
		switch n.About.Form {
		case schema.Strings, schema.Texts, schema.Ports, schema.ShortOrObjects:
			return true
		}
	}
	return false
}

// serviceOf is the name of the service that path is the address of, "" when it is another's.
func serviceOf(path string) string {
	name, ok := strings.CutPrefix(path, "services.")
	if !ok || strings.Contains(name, ".") {
		return ""
	}
	return name
}

func isServiceKey(name string) bool { return schema.At("services.*").Keys[name] != nil }

func misplaced(key string) string {
	return fmt.Sprintf("%q is a key of a service: indent it further than the name of its service", key)
}

// strayAtTop is the hint for a key at the top of a file that the language has elsewhere.
func strayAtTop(key string, value *tree.Node) string {
	if isServiceKey(key) {
		return misplaced(key)
	}
	if value.Kind == tree.Mapping && len(value.Pairs) > 0 {
		for _, p := range value.Pairs {
			if !isServiceKey(p.Key.Value) {
				return ""
			}
		}
		return "a service stands below the key services, and further in than it"
	}
	return ""
}
