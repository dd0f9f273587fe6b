package schema_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/schema"
)

// size is the number of attributes of compose-go v2.14's schema, flattened.
const size = 353

// own are the attributes of ours beside those.
var own = []string{"services.*.volumes[].bind.x-idmap"}

func TestTableIsWhole(t *testing.T) {
	if n := len(schema.Attributes) - len(own); n != size {
		t.Errorf("%d attributes, expected %d", n, size)
	}
	for i := range schema.Attributes {
		if a := &schema.Attributes[i]; a.Extension() != slices.Contains(own, a.Path) {
			t.Errorf("%s is an extension: %v", a.Path, a.Extension())
		}
	}
	seen := map[string]bool{}
	for i := range schema.Attributes {
		a := &schema.Attributes[i]
		if seen[a.Path] {
			t.Errorf("%s is there twice", a.Path)
		}
		seen[a.Path] = true
		if n := schema.At(a.Path); n == nil || n.Attribute == nil {
			t.Errorf("At(%s) finds no attribute", a.Path)
		}
	}
}

// TestReasons: what is not supported says why, itself or above it, and nothing below
// a refused or warned attribute is supported, for the loader does not look there.
func TestReasons(t *testing.T) {
	reason := map[string]schema.Attribute{}
	for i := range schema.Attributes {
		reason[schema.Attributes[i].Path] = schema.Attributes[i]
	}
	for path, a := range reason {
		explained := a.Reason != ""
		for p := path; strings.Contains(p, "."); {
			p = strings.TrimSuffix(strings.TrimSuffix(p[:strings.LastIndexByte(p, '.')], ".*"), "[]")
			above, ok := reason[p]
			if !ok {
				continue
			}
			if above.Level != schema.Supported {
				explained = explained || above.Reason != ""
				if a.Level == schema.Supported {
					t.Errorf("%s is supported below %s, which is %s", path, p, above.Level)
				}
			}
		}
		if a.Level != schema.Supported && !explained {
			t.Errorf("%s is %s without a reason", path, a.Level)
		}
		if a.Level == schema.Supported && a.Reason != "" {
			t.Errorf("%s is supported and has a reason", path)
		}
	}
}

// TestKeysHaveAttributes: the loader asks every fixed key for its level.
func TestKeysHaveAttributes(t *testing.T) {
	var walk func(path string, n *schema.Node)
	walk = func(path string, n *schema.Node) {
		for k, below := range n.Keys {
			if below.Attribute == nil {
				t.Errorf("%s.%s is no attribute", path, k)
			}
			walk(path+"."+k, below)
		}
		if n.Any != nil {
			walk(path+".*", n.Any)
		}
		if n.Elem != nil {
			walk(path+"[]", n.Elem)
		}
	}
	walk("", schema.Root())
}

func TestCompatPageIsCurrent(t *testing.T) {
	var b bytes.Buffer
	if err := schema.WriteCompat(&b); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, b.Bytes()) {
		t.Error("docs/compat.md is not what the table gives: run make generate")
	}
}
