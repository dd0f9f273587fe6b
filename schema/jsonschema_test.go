package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/schema"
)

// faults checks v against s, by the keywords that WriteJSON uses.
func faults(s any, v any, at string) []string {
	schema, ok := s.(map[string]any)
	if !ok {
		if s == false {
			return []string{at}
		}
		return nil
	}
	var out []string
	switch v := v.(type) {
	case map[string]any:
	keys:
		for key, below := range v {
			properties, _ := schema["properties"].(map[string]any)
			if p, ok := properties[key]; ok {
				out = append(out, faults(p, below, at+"."+key)...)
				continue
			}
			patterns, _ := schema["patternProperties"].(map[string]any)
			for pattern := range patterns {
				if regexp.MustCompile(pattern).MatchString(key) {
					continue keys
				}
			}
			if more, ok := schema["additionalProperties"]; ok {
				out = append(out, faults(more, below, at+"."+key)...)
			}
		}
	case []any:
		for i, it := range v {
			out = append(out, faults(schema["items"], it, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return out
}

func TestJSONSchema(t *testing.T) {
	var b bytes.Buffer
	if err := schema.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("compose.schema.json")
	if err != nil || !bytes.Equal(file, b.Bytes()) {
		t.Errorf("compose.schema.json is not what the table gives (%v): run make generate", err)
	}
	var s any
	if err := json.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../spec/testdata/ok/*.yaml")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := yaml.Unmarshal(text, &v); err != nil {
			continue // a tag or a number of documents that only the loader knows
		}
		if bad := faults(s, v, ""); len(bad) > 0 {
			t.Errorf("%s loads, and the schema refuses %v", f, bad)
		}
	}
	for _, text := range []string{"servces: {}", "services: {a: {prots: []}}", "services: {a: {ports: [{targt: 1}]}}", "networks: {a: {drver: x}}", "services: {a: {healthcheck: {tset: x}}}"} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if len(faults(s, v, "")) != 1 {
			t.Errorf("the schema takes %s", text)
		}
	}
}
