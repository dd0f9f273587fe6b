package objectid

import (
	"regexp"
	"testing"
)

// Of so many ids some 70 would have a short form without a letter, by chance.
func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 20_000 {
		id := New()
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(id) {
			t.Fatalf("%q is no id", id)
		}
		if regexp.MustCompile(`^[0-9]+$`).MatchString(id[:shortLen]) {
			t.Fatalf("the host name %s is a number", id[:shortLen])
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}
