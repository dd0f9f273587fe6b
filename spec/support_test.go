package spec_test

import (
	"slices"
	"testing"

	"github.com/stackrun/stack/schema"
	"github.com/stackrun/stack/spec"
)

// TestSupportTableIsTheDecoder walks the language: a key of the table must be one
// that the decoder reads, and the other way round. A key
// that nothing reads would be ignored without a word.
func TestSupportTableIsTheDecoder(t *testing.T) {
	tables := spec.FieldTables()
	var walk func(path string, n *schema.Node)
	walk = func(path string, n *schema.Node) {
		if n.Keys != nil {
			read, ok := tables[path]
			if !ok {
				t.Errorf("%q: the schema has keys here and the decoder no table", path)
			}
			delete(tables, path)
			for key := range n.Keys {
				if !slices.Contains(read, key) {
					t.Errorf("%s.%s: in the table, and not read by the decoder", path, key)
				}
			}
			for _, key := range read {
				if n.Keys[key] == nil {
					t.Errorf("%s.%s is read by the decoder and unknown to the table", path, key)
				}
			}
		}
		for key, below := range n.Keys {
			at := key
			if path != "" {
				at = path + "." + key
			}
			walk(at, below)
		}
		if n.Any != nil {
			walk(path+".*", n.Any)
		}
		if n.Elem != nil {
			walk(path+"[]", n.Elem)
		}
	}
	walk("", schema.Root())
	for path := range tables {
		t.Errorf("the decoder has a table for %q, which the schema does not have", path)
	}
}

func TestMergeRulesNameRealPlaces(t *testing.T) {
	for _, path := range spec.MergeRulePaths() {
		if schema.At(path) == nil {
			t.Errorf("mergeRules names %q, which the schema does not have", path)
		}
	}
}
