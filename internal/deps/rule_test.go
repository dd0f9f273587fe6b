package deps

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// rule says why package from may not import package to, both of this module; "" = it may.
type rule func(from, to string) string

// holds looks whether every import of pkgs keeps r.
func (r rule) holds(t *testing.T, pkgs map[string]*pkg) {
	t.Helper()
	for _, p := range sortedPkgs(pkgs) {
		for _, to := range slices.Sorted(maps.Keys(p.imports)) {
			dep, ok := ours(to)
			if !ok {
				continue
			}
			if why := r(p.path, dep); why != "" {
				t.Errorf("%s imports %s (%s): %s", p.path, dep, strings.Join(p.imports[to], ", "), why)
			}
		}
	}
}

// ruling is what a rule has to say of one import.
type ruling struct {
	from, to string
	bad      bool
}

// says looks whether r says no where it must, so that a change of it is seen.
func (r rule) says(t *testing.T, rulings []ruling) {
	t.Helper()
	for _, c := range rulings {
		if got := r(c.from, c.to); (got != "") != c.bad {
			t.Errorf("%s imports %s: %q, forbidden should be %v", c.from, c.to, got, c.bad)
		}
	}
}
