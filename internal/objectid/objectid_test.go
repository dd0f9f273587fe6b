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
		if regexp.MustCompile(`^[0-9]+$`).MatchString(Short(id)) {
			t.Fatalf("the host name %s is a number", Short(id))
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}

func TestShort(t *testing.T) {
	for id, want := range map[string]string{"0123456789abcdef": "0123456789ab", "0123456789ab": "0123456789ab", "0123": "0123", "": ""} {
		if got := Short(id); got != want {
			t.Errorf("%q is %q in short", id, got)
		}
	}
}
