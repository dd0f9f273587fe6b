package schema

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// jsonNode is a JSON schema of draft 2020-12, as far as it is used here.
type jsonNode struct {
	Schema      string               `json:"$schema,omitempty"`
	Title       string               `json:"title,omitempty"`
	Description string               `json:"description,omitempty"`
	Deprecated  bool                 `json:"deprecated,omitempty"` // editors strike it out
	Type        any                  `json:"type,omitempty"`       // a name or a list of names
	Enum        []string             `json:"enum,omitempty"`
	Pattern     string               `json:"pattern,omitempty"`
	AnyOf       []*jsonNode          `json:"anyOf,omitempty"`
	Properties  map[string]*jsonNode `json:"properties,omitempty"`
	Patterns    map[string]*jsonNode `json:"patternProperties,omitempty"`
	Additional  any                  `json:"additionalProperties,omitempty"` // false or *jsonNode
	Items       *jsonNode            `json:"items,omitempty"`
}

// WriteJSON writes compose.schema.json, by which editors complete and check a Compose file: the keys
// that the loader takes, what may be written for each, what it is for, and what becomes of it here.
// It takes all that the loader takes, and refuses what the loader calls a wrong type; what only a
// program can tell, such as whether a network is defined, it leaves to the loader.
func WriteJSON(w io.Writer) error {
	root := objectOf(Root())
	root.Schema, root.Title = "https://json-schema.org/draft/2020-12/schema", "Compose file"
	root.Type = "object"
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(root)
}

// Patterns of texts that are something else. All let a variable in: what it holds is not known.
const (
	variable     = `\$`
	intText      = `^[+-]?[0-9][0-9A-Fa-fxXob_]*(\.0*)?$|` + variable
	numberText   = `^[+-]?(0[xXob][0-9A-Fa-f_]+|([0-9][0-9_]*(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)$|` + variable
	modeText     = `^(0o)?[0-7]+$|` + variable
	boolText     = `^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy]([Ee][Ss])?|[Nn][Oo]?|[Oo]([Nn]|[Ff][Ff])|[TtFf01])$|` + variable
	sizeText     = `^-?[0-9.]|` + variable
	durationText = `^([+-]?[0-9.]|$)|` + variable
	policyText   = `^(every_.*|refresh)$|` + variable
)

func kinds(names ...string) *jsonNode { return &jsonNode{Type: names} }

func text(pattern string) *jsonNode { return &jsonNode{Type: "string", Pattern: pattern} }

func listOf(items *jsonNode) *jsonNode { return &jsonNode{Type: "array", Items: items} }

func mapOf(values *jsonNode) *jsonNode { return &jsonNode{Type: "object", Additional: values} }

func either(nodes ...*jsonNode) *jsonNode { return &jsonNode{AnyOf: nodes} }

// scalar is what is a text in the end.
func scalar() *jsonNode { return kinds("string", "number", "boolean", "null") }

// of is the schema of what may be written for n: its form, its description, what becomes of it.
func of(n *Node) *jsonNode {
	j := formOf(n)
	if n.About != nil {
		j.Description = n.About.Text
	}
	if n.Attribute != nil && n.Level != Supported && n.Reason != "" {
		word := map[Level]string{Warned: "Without effect: ", Refused: "Not supported: "}[n.Level]
		j.Description = strings.TrimSpace(j.Description + " " + word + n.Reason + ".")
		j.Deprecated = true
	}
	return j
}

func formOf(n *Node) *jsonNode {
	if n.About == nil { // an element of a list, whose form the list says
		return &jsonNode{}
	}
	if n.About.Form == Object { // the usual one stays flat, for who reads the schema
		j := objectOf(n)
		if n.About.MayBeNull() {
			j.Type = []string{"object", "null"}
		}
		return j
	}
	j := shapes(n)
	if len(j.AnyOf) == 0 {
		j = either(j)
	}
	if n.About.MayBeNull() {
		j.AnyOf = append(j.AnyOf, kinds("null"))
	}
	return j.flat()
}

// shapes is the schema of n's form, without null.
func shapes(n *Node) *jsonNode {
	d := n.About
	switch d.Form {
	case Scalar:
		return kinds("string", "number", "boolean")
	case Bool:
		return either(kinds("boolean"), text(boolText))
	case Int:
		return either(kinds("integer"), text(intText))
	case Number:
		return either(kinds("number"), text(numberText))
	case Size:
		return either(kinds("number"), text(sizeText))
	case Duration:
		return text(durationText)
	case Mode:
		return either(kinds("integer"), text(modeText))
	case Word:
		return either(&jsonNode{Enum: d.Values}, text(variable))
	case PullPolicy:
		return either(&jsonNode{Enum: d.Values}, text(policyText))
	case Hint: // the list is for completion
		return either(&jsonNode{Enum: d.Values}, kinds("string"))
	case Command, OneOrMany:
		return either(kinds("string"), listOf(kinds("string")))
	case Strings:
		return listOf(kinds("string"))
	case Texts:
		return listOf(scalar())
	case Options:
		return mapOf(scalar())
	case OptionLists:
		return mapOf(either(scalar(), listOf(scalar())))
	case Pairs:
		return either(mapOf(scalar()), listOf(kinds("string")))
	case Hosts:
		return either(mapOf(either(scalar(), listOf(scalar()))), listOf(kinds("string")))
	case Named:
		return namedOf(n)
	case NamesOrNamed:
		return either(listOf(kinds("string")), namedOf(n))
	case Objects:
		return listOf(elementOf(n))
	case ShortOrObjects:
		return listOf(either(kinds("string"), elementOf(n)))
	case EnvFiles:
		return either(kinds("string"), listOf(either(kinds("string"), elementOf(n))))
	case Ports:
		return listOf(either(kinds("string", "number"), elementOf(n)))
	case ObjectOrString:
		return either(kinds("string"), objectOf(n))
	case IntOrObject:
		return either(kinds("integer"), text(intText), objectOf(n))
	case BoolOrString:
		return kinds("boolean", "string")
	case External:
		return either(kinds("boolean"), text(boolText), objectOf(n))
	case AllOrObjects:
		return either(&jsonNode{Enum: []string{"all"}}, text(variable), listOf(elementOf(n)))
	case CountOrAll:
		return either(kinds("integer"), &jsonNode{Enum: []string{"all"}}, text(intText))
	}
	return kinds("string")
}

// objectOf is a mapping with the fixed keys of n.
func objectOf(n *Node) *jsonNode {
	j := &jsonNode{Type: "object", Properties: map[string]*jsonNode{}, Patterns: map[string]*jsonNode{"^x-": {}}, Additional: false}
	for key, below := range n.Keys {
		j.Properties[key] = of(below)
	}
	return j
}

// namedOf is a mapping of any names to what is below n.
func namedOf(n *Node) *jsonNode {
	j := mapOf(of(n.Any))
	if n.Attribute != nil && n.Path != "services" { // a service may be called x-…
		j.Patterns = map[string]*jsonNode{"^x-": {}}
	}
	return j
}

func elementOf(n *Node) *jsonNode { return objectOf(n.Elem) }

// flat joins alternatives that only name types into one list, which editors show more plainly.
func (j *jsonNode) flat() *jsonNode {
	var types []string
	var rest []*jsonNode
	for _, a := range j.AnyOf {
		names, simple := a.Type.([]string)
		if simple && a.Enum == nil && a.Pattern == "" && a.Items == nil && a.Properties == nil && a.Additional == nil {
			types = append(types, names...)
		} else {
			rest = append(rest, a)
		}
	}
	slices.Sort(types)
	types = slices.Compact(types)
	switch {
	case len(rest) == 0:
		return &jsonNode{Type: types}
	case len(types) > 0:
		rest = append(rest, &jsonNode{Type: types})
	case len(rest) == 1:
		return rest[0]
	}
	return &jsonNode{AnyOf: rest}
}
