package reference

import (
	"regexp"
	"strings"
	"testing"
)

var grammar = []struct {
	name    string
	pattern *regexp.Regexp
	is      func(string) bool
}{
	{"repository", regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`), IsRepo},
	{"tag", regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`), isTag},
	{"host", regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?$`), IsHost},
}

func compareGrammar(t *testing.T, s string) {
	t.Helper()
	for _, g := range grammar {
		if got, want := g.is(s), g.pattern.MatchString(s); got != want {
			t.Errorf("%q is a %s: %v, and by the pattern %v", s, g.name, got, want)
		}
	}
}

// TestGrammar compares with the regular expressions of the specification: every short text of what they tell apart, every byte, and lengths at the bounds.
func TestGrammar(t *testing.T) {
	texts := []string{""}
	for range 6 {
		for _, s := range texts {
			compareGrammar(t, s)
		}
		var longer []string
		for _, s := range texts {
			for _, c := range "aG1._-/:[]" {
				longer = append(longer, s+string(c))
			}
		}
		texts = longer
	}
	for b := range 256 {
		c := string([]byte{byte(b)})
		for _, s := range []string{c, "a" + c, c + "a", "a" + c + "a", "[" + c + "]", "a:" + c, c + "\n"} {
			compareGrammar(t, s)
		}
	}
	for n := range 9 {
		compareGrammar(t, "a:"+strings.Repeat("1", n))
		compareGrammar(t, "[::1]:"+strings.Repeat("1", n))
	}
	for n := 126; n < 131; n++ {
		compareGrammar(t, strings.Repeat("t", n))
	}
}
