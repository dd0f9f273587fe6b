package schema

import (
	"encoding/json"
	"io"
)

// jsonNode is a JSON schema of draft 2020-12. It has no types: properties only bind
// objects and items only bind lists, so the short forms of an attribute need no word.
type jsonNode struct {
	Schema      string               `json:"$schema,omitempty"`
	Title       string               `json:"title,omitempty"`
	Description string               `json:"description,omitempty"`
	Deprecated  bool                 `json:"deprecated,omitempty"` // editors strike it out
	Properties  map[string]*jsonNode `json:"properties,omitempty"`
	Pattern     map[string]*jsonNode `json:"patternProperties,omitempty"`
	Additional  any                  `json:"additionalProperties,omitempty"` // false or *jsonNode
	Items       *jsonNode            `json:"items,omitempty"`
}

// WriteJSON writes compose.schema.json, by which editors complete and check the keys of
// a Compose file: those that the loader takes, with what becomes of each.
func WriteJSON(w io.Writer) error {
	root := jsonOf(Root())
	root.Schema, root.Title = "https://json-schema.org/draft/2020-12/schema", "Compose file"
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(root)
}

func jsonOf(n *Node) *jsonNode {
	j := &jsonNode{}
	if n.Attribute != nil && n.Level != Supported && n.Reason != "" {
		j.Description = map[Level]string{Warned: "Without effect: ", Refused: "Not supported: "}[n.Level] + n.Reason
		j.Deprecated = true
	}
	if n.Keys != nil || n.Any != nil {
		j.Pattern = map[string]*jsonNode{"^x-": {}}
	}
	switch {
	case n.Keys != nil:
		j.Properties, j.Additional = map[string]*jsonNode{}, false
		for key, below := range n.Keys {
			j.Properties[key] = jsonOf(below)
		}
	case n.Any != nil:
		j.Additional = jsonOf(n.Any)
	}
	if n.Elem != nil {
		j.Items = jsonOf(n.Elem)
	}
	return j
}
