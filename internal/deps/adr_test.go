package deps

import (
	"path/filepath"
	"testing"
)

// TestDecisionsHaveTheirNumbers: no two records of decisions have the same one, by which code and documents name them.
func TestDecisionsHaveTheirNumbers(t *testing.T) {
	files, err := filepath.Glob("../../docs/adr/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	seen := map[string]string{}
	for _, path := range files {
		name := filepath.Base(path)
		if other := seen[name[:4]]; other != "" {
			t.Errorf("%s and %s have one number", other, name)
		}
		seen[name[:4]] = name
	}
}
