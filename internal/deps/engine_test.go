package deps

import (
	"slices"
	"testing"
)

// engineLayers are the packages of reconcile, lowest first (docs/adr/0073-the-walls-of-the-engine.md). A package imports packages of lower layers only.
// Every package below reconcile is in exactly one layer, but for those below reconcile/driver, which are its tests and fakes.
var engineLayers = [][]string{
	// Values and mechanisms that know nothing else of the engine.
	{"reconcile/cdi", "reconcile/driver", "reconcile/event", "reconcile/gate", "reconcile/graph", "reconcile/health", "reconcile/label", "reconcile/output/severity"},
	// The plan.
	{"reconcile/plan"},
	// What is asked for, the records of it, and what carries a plan out or keeps watch, each by itself.
	{
		"reconcile/apply", "reconcile/autoport", "reconcile/desire", "reconcile/history", "reconcile/interim", "reconcile/loop", "reconcile/standalone", "reconcile/supervise",
		"reconcile/wish", "reconcile/wording",
	},
	// Translations: into what crosses the socket, into the drivers' words, into places in a file, into what is kept of the past.
	{"reconcile/ask", "reconcile/bundle", "reconcile/history/book", "reconcile/position"},
	// What the host has and what it gives.
	{"reconcile/grant", "reconcile/inventory"},
	// One subject each, by what the host has.
	{
		"reconcile/chronicle", "reconcile/execs", "reconcile/forward", "reconcile/images", "reconcile/output", "reconcile/ports", "reconcile/preflight", "reconcile/resource", "reconcile/roster",
	},
	// What the life of a container needs of those.
	{"reconcile/await", "reconcile/naming", "reconcile/wiring"},
	// The life of one container.
	{"reconcile/lifecycle"},
	// Work on a project, or on what a client of the Docker Engine API names.
	{"reconcile/access", "reconcile/library", "reconcile/performer", "reconcile/planning", "reconcile/removal", "reconcile/single"},
	// Whole passes over a project: plans that are made and carried out.
	{"reconcile/errand", "reconcile/healing", "reconcile/oneoff"},
	{"reconcile/snapshot"},
	// The engine.
	{"reconcile"},
}

// engineLayer is the place of p in engineLayers; -1 = it is in none.
func engineLayer(p string) int {
	return slices.IndexFunc(engineLayers, func(l []string) bool { return slices.Contains(l, p) })
}

// rises says why from may not import to when both are of the engine, or "".
func rises(from, to string) string {
	if !in(from, "reconcile") || !in(to, "reconcile") || from != "reconcile/driver" && in(from, "reconcile/driver") {
		return ""
	}
	switch above, below := engineLayer(from), engineLayer(to); {
	case above < 0 || below < 0:
		return "one of them has no place in engineLayers"
	case below == above:
		return "packages of one layer of the engine do not know each other"
	case below > above:
		return "the engine's packages import downwards: see engineLayers"
	}
	return ""
}

// TestEngineLayers holds the order of the engine's packages.
func TestEngineLayers(t *testing.T) {
	pkgs := load(t)
	seen := map[string]bool{}
	for _, l := range engineLayers {
		for _, p := range l {
			if pkgs[p] == nil {
				t.Errorf("there is no package %s", p)
			}
			if seen[p] {
				t.Errorf("%s is in two layers", p)
			}
			seen[p] = true
		}
	}
	for _, p := range sortedPkgs(pkgs) {
		if in(p.path, "reconcile") && (p.path == "reconcile/driver" || !in(p.path, "reconcile/driver")) && !seen[p.path] {
			t.Errorf("%s is in no layer of engineLayers", p.path)
		}
	}
	rule(rises).holds(t, pkgs)
	rule(rises).says(t, []ruling{
		{"reconcile", "reconcile/snapshot", false},
		{"reconcile/snapshot", "reconcile/errand", false},
		{"reconcile/errand", "reconcile/healing", true},
		{"reconcile/lifecycle", "reconcile", true},
		{"reconcile/lifecycle", "reconcile/single", true},
		{"reconcile/lifecycle", "reconcile/resource", false},
		{"reconcile/plan", "reconcile/wish", true},
		{"reconcile/history/book", "reconcile/history", false},
		{"reconcile/history", "reconcile/history/book", true},
		{"reconcile/driver/fake", "reconcile/driver", false},
	})
}
