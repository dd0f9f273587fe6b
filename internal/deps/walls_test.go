package deps

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// walls are the packages of the rooms network and image, each with those of its room that it is made of, docs/adr/0077-the-walls-of-the-network.md and
// docs/adr/0082-the-walls-of-the-image-store.md. A room itself is made of all; one that is not named here is made of none.
var walls = map[string][]string{
	"network/bridge":     {"network/definition", "network/interior", "network/nft", "network/record", "network/rtnl", "network/sight", "network/sysctl"},
	"network/parent":     {"network/definition", "network/interior", "network/nft", "network/record", "network/rtnl", "network/sight", "network/sysctl"},
	"network/sight":      {"network/alarm", "network/nft", "network/rtnl", "network/sysctl"},
	"network/alarm":      {"network/netns", "network/nft", "network/rtnl", "network/sysctl"},
	"network/resolver":   {"network/definition", "network/dns", "network/membership", "network/nft", "network/record"},
	"network/membership": {"network/definition", "network/dns", "network/ipam", "network/record"},
	"network/publish":    {"network/definition", "network/hostport"},
	"network/interior":   {"network/definition", "network/record", "network/rtnl", "network/sysctl"},
	"network/record":     {"network/definition", "network/netns"},
	"network/definition": {"network/ipam"},

	"image/removal":     {"image/snapshot", "image/catalog", "image/patch", "image/layer", "image/storage", "image/content"},
	"image/push":        {"image/catalog", "image/layer", "image/registry", "image/credentials", "image/manifest", "image/progress", "image/content"},
	"image/archive":     {"image/catalog", "image/layer", "image/manifest", "image/platform", "image/content"},
	"image/snapshot":    {"image/catalog", "image/patch", "image/layer", "image/pack", "image/overlay", "image/storage", "image/manifest", "image/progress", "image/content"},
	"image/catalog":     {"image/layer", "image/storage", "image/manifest", "image/platform", "image/content"},
	"image/patch":       {"image/layer", "image/overlay", "image/storage", "image/unpack"},
	"image/layer":       {"image/pack", "image/unpack", "image/recipe", "image/storage", "image/flight", "image/progress", "image/manifest", "image/content"},
	"image/pack":        {"image/overlay", "image/unpack"},
	"image/overlay":     {"image/unpack"},
	"image/storage":     {"image/content"},
	"image/registry":    {"image/credentials", "image/manifest", "image/content", "image/platform"},
	"image/manifest":    {"image/content", "image/platform"},
	"image/credentials": {"image/content"},
	"image/flight":      {"image/progress"},
}

// walled says why from, of a room that walls has, may not import to, of the room too; "" = it may.
func walled(from, to string) string {
	if from == room(from) || slices.Contains(walls[from], to) {
		return ""
	}
	return "it is not made of that, see walls"
}

// TestWalls: within a room, too, imports go one way.
func TestWalls(t *testing.T) {
	pkgs := load(t)
	for _, p := range sortedPkgs(pkgs) {
		if r := room(p.path); r != "network" && r != "image" {
			continue
		}
		for _, to := range slices.Sorted(maps.Keys(p.imports)) {
			if dep, ok := ours(to); ok && room(dep) == room(p.path) {
				if why := walled(p.path, dep); why != "" {
					t.Errorf("%s imports %s (%s): %s", p.path, dep, strings.Join(p.imports[to], ", "), why)
				}
			}
		}
	}
	for from, all := range walls {
		for _, to := range all {
			if pkgs[from] == nil || pkgs[from].imports[module+"/"+to] == nil {
				t.Errorf("%s is said to import %s, and does not", from, to)
			}
		}
	}
}

// TestWalled: the walls say no where they must, so that a change of them is seen.
func TestWalled(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"image", "image/layer", false},
		{"image/snapshot", "image/layer", false},
		{"image/layer", "image/snapshot", true},
		{"image/layer", "image/catalog", true},
		{"image/layer", "image/registry", true},
		{"image/registry", "image/storage", true},
		{"image/push", "image/removal", true},
		{"image/catalog", "image", true},
		{"network/record", "network/definition", false},
		{"network/definition", "network/record", true},
	} {
		if got := walled(c.from, c.to); (got != "") != c.bad {
			t.Errorf("%s imports %s: %q, forbidden should be %v", c.from, c.to, got, c.bad)
		}
	}
}

// TestDefinitionsTouchNothing: what may be asked of a network is decided without the host.
func TestDefinitionsTouchNothing(t *testing.T) {
	p := load(t)["network/definition"]
	if p == nil {
		t.Fatal("there is no such package")
	}
	for to, files := range p.imports {
		first, _, _ := strings.Cut(to, "/")
		dep, own := ours(to)
		if slices.Contains([]string{"os", "context", "time", "syscall"}, first) || strings.Contains(first, ".") && !own || own && dep != "network/ipam" && dep != "internal/errdefs" {
			t.Errorf("%s imports %s (%s)", p.path, to, strings.Join(files, ", "))
		}
	}
}
