package schema_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/schema/schematest"
	"github.com/stackrun/stack/spec"
)

// compiled is the schema that the table gives, as a validator of draft 2020-12 understands it.
func compiled(t *testing.T) (*jsonschema.Schema, []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := schema.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("compose.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("compose.json")
	if err != nil {
		t.Fatal(err)
	}
	return s, b.Bytes()
}

func TestJSONSchemaIsCurrent(t *testing.T) {
	_, text := compiled(t)
	file, err := os.ReadFile("compose.schema.json")
	if err != nil || !bytes.Equal(file, text) {
		t.Errorf("compose.schema.json is not what the table gives (%v): run make generate", err)
	}
}

// TestSchemaTakesWhatLoads: every file that the loader's tests and the examples load is valid.
func TestSchemaTakesWhatLoads(t *testing.T) {
	s, _ := compiled(t)
	var files []string
	for _, pattern := range []string{"../spec/testdata/ok/*.yaml", "../spec/render/testdata/*.yaml", "../examples/*/*compose*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range documents(t, text) {
			if err := s.Validate(v); err != nil {
				t.Errorf("%s loads, and the schema refuses it: %v", f, err)
			}
		}
	}
}

// documents are the values of text, without what only the loader knows: !reset and !override.
func documents(t *testing.T, text []byte) []any {
	t.Helper()
	var out []any
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		untag(&n)
		var v any
		if err := n.Decode(&v); err != nil {
			continue // keys that are no texts, dates
		}
		j, err := json.Marshal(v)
		if err != nil {
			continue
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, value)
	}
}

// untag drops what a !reset takes out, and the tag of an !override.
func untag(n *yaml.Node) {
	kept := n.Content[:0]
	for i := 0; i < len(n.Content); i++ {
		if n.Kind == yaml.MappingNode && i+1 < len(n.Content) && i%2 == 0 && n.Content[i+1].Tag == "!reset" {
			i++
			continue
		}
		kept = append(kept, n.Content[i])
	}
	n.Content = kept
	if n.Tag == "!override" {
		n.Tag = ""
	}
	for _, c := range n.Content {
		untag(c)
	}
}

// probes are values of every kind; of each kind one at least must be taken where the kind is.
var probes = []struct{ kind, text string }{
	{"null", "null"}, {"true", "true"}, {"number", "12"}, {"fraction", "1.5"}, {"zero", "0"}, {"empty list", "[]"}, {"list of texts", `["/w"]`}, {"pairs", `["a=b"]`},
	{"list of numbers", "[7]"}, {"list of lists", `[["a"]]`}, {"list of objects", "[{}]"}, {"empty object", "{}"}, {"object", `{"k": "v"}`}, {"object of numbers", `{"k": 7}`}, {"object of objects", `{"k": {}}`},
	{"word", `"word"`}, {"number as text", `"12"`}, {"boolean as text", `"true"`}, {"duration", `"90s"`}, {"size", `"1.5gb"`}, {"path", `"/w"`}, {"address", `"10.0.0.1"`}, {"variable", `"${V}"`}, {"empty text", `""`},
}

// TestSchemaIsTheLoader tries values of every kind at every attribute: what the loader takes the schema
// takes, and what the loader calls a wrong type the schema refuses.
func TestSchemaIsTheLoader(t *testing.T) {
	s, _ := compiled(t)
	for i := range schema.Attributes {
		path := schema.Attributes[i].Path
		for _, p := range probes {
			text := schematest.Document(path, p.text)
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			_, list := spec.Load(context.Background(), spec.Input{
				FS:    fstest.MapFS{"compose.yaml": {Data: []byte(text)}, "e.env": {}, "w": {}, "12": {}, "i.yaml": {Data: []byte("services: {i: {image: x}}")}},
				Files: []string{"/compose.yaml"}, Dir: "/", Name: "t", Env: map[string]string{"V": "12"}, Purpose: spec.ToShow,
			})
			loads, wrong := true, false
			for _, d := range list {
				if d.Severity == 0 {
					loads = false
					wrong = wrong || d.Code == spec.CodeType
				}
			}
			switch valid := s.Validate(v) == nil; {
			case loads && !valid:
				t.Errorf("%s, %s: %s loads, and the schema refuses it", path, p.kind, text)
			case wrong && valid && p.kind != "variable":
				t.Errorf("%s, %s: %s is of a wrong type (%v), and the schema takes it", path, p.kind, text, list.Err())
			}
		}
	}
}

// TestEverythingIsDescribed: each attribute says what it may be and what it is for.
func TestEverythingIsDescribed(t *testing.T) {
	for i := range schema.Attributes {
		a := &schema.Attributes[i]
		d := schema.At(a.Path).About
		if d == nil || d.Text == "" || d.Form == 0 {
			t.Errorf("%s has no description", a.Path)
			continue
		}
		if !strings.HasSuffix(d.Text, ".") {
			t.Errorf("%s: %q is no sentence", a.Path, d.Text)
		}
		if (d.Form == schema.Word || d.Form == schema.Hint) != (d.Values != nil) && d.Form != schema.PullPolicy {
			t.Errorf("%s: values belong to words", a.Path)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	s, _ := compiled(t)
	for _, text := range []string{
		"servces: {}", "services: {a: {prots: []}}", "services: {a: {ports: [{targt: 1}]}}", "networks: {a: {drver: x}}",
		"services: {a: {healthcheck: {tset: x}}}", "services: {a: {image: 5}}", "services: {a: {cgroup: hots}}", "services: []",
		"services: {a: {depends_on: {b: {condition: healthy}}}}", "services: {a: {pull_policy: sometimes}}",
	} {
		for _, v := range documents(t, []byte(text)) {
			if s.Validate(v) == nil {
				t.Errorf("the schema takes %s", text)
			}
		}
	}
}
