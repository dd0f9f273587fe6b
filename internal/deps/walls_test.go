package deps

import (
	"slices"
	"strings"
	"testing"
)

// walls are the packages of the rooms network, image and runtime, each with those of its room that it is made of, docs/adr/0077-the-walls-of-the-network.md,
// docs/adr/0087-sandboxes-apart-from-networks.md, docs/adr/0082-the-walls-of-the-image-store.md and docs/adr/0084-the-walls-of-the-runtime.md. A room itself is made of all; one that is not named here is made of none.
var walls = map[string][]string{
	"network/sandbox":    {"network/cabling", "network/resolver", "network/membership", "network/publish", "network/sight", "network/alarm", "network/record", "network/definition", "network/dns", "network/hostport", "network/netns", "network/nft", "network/conntrack", "network/rtnl"},
	"network/cabling":    {"network/media", "network/membership", "network/interior", "network/sight", "network/record", "network/definition", "network/netns", "network/nft", "network/rtnl"},
	"network/media":      {"network/bridge", "network/parent", "network/sight", "network/record", "network/definition", "network/nft", "network/rtnl", "network/sysctl"},
	"network/bridge":     {"network/definition", "network/interior", "network/nft", "network/record", "network/rtnl", "network/sight", "network/sysctl"},
	"network/parent":     {"network/definition", "network/interior", "network/nft", "network/record", "network/rtnl", "network/sight", "network/sysctl"},
	"network/sight":      {"network/alarm", "network/nft", "network/rtnl", "network/sysctl"},
	"network/alarm":      {"network/netns", "network/nft", "network/rtnl", "network/sysctl"},
	"network/resolver":   {"network/definition", "network/dns", "network/membership", "network/nft", "network/record"},
	"network/membership": {"network/definition", "network/dns", "network/ipam", "network/record"},
	"network/publish":    {"network/definition", "network/hostport"},
	"network/interior":   {"network/definition", "network/record", "network/rtnl", "network/sysctl"},
	"network/subnet":     {"network/record", "network/definition", "network/ipam"},
	"network/record":     {"network/definition", "network/netns"},
	"network/definition": {"network/ipam"},
	"network/nft":        {"network/conntrack"},

	"image/removal":     {"image/snapshot", "image/catalog", "image/patch", "image/layer", "image/storage", "image/content"},
	"image/cache":       {"image/push", "image/layer", "image/registry", "image/credentials", "image/manifest", "image/platform", "image/content"},
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

	"runtime/visit":       {"runtime/supervision", "runtime/record", "runtime/archive", "runtime/boot", "runtime/unmount", "runtime/idlock", "runtime/identity", "runtime/container", "runtime/proto"},
	"runtime/supervision": {"runtime/guard", "runtime/logloss", "runtime/child", "runtime/record", "runtime/cgroup", "runtime/seccomp", "runtime/unmount", "runtime/idlock", "runtime/identity", "runtime/event", "runtime/container", "runtime/process", "runtime/proto", "runtime/mount"},
	"runtime/exec":        {"runtime/attachment", "runtime/child", "runtime/signals", "runtime/seccomp", "runtime/caps", "runtime/identity", "runtime/container", "runtime/process", "runtime/proto"},
	"runtime/guard":       {"runtime/record", "runtime/cgroup", "runtime/identity", "runtime/container", "runtime/proto", "runtime/mount"},
	"runtime/logloss":     {"runtime/record", "runtime/event", "runtime/proto"},
	"runtime/child":       {"runtime/initprog", "runtime/boot", "runtime/identity", "runtime/proto"},
	"runtime/record":      {"runtime/identity", "runtime/container", "runtime/process", "runtime/proto"},
	"runtime/attachment":  {"runtime/logs", "runtime/process", "runtime/proto"},
	"runtime/signals":     {"runtime/procfs", "runtime/identity", "runtime/process"},
	"runtime/basespec":    {"runtime/cgroup", "runtime/caps"},
	"runtime/unmount":     {"runtime/container"},
	"runtime/identity":    {"runtime/proto"},
	"runtime/event":       {"runtime/process"},
	"runtime/procfs":      {"runtime/process"},
	"runtime/container":   {"runtime/pid1", "runtime/process", "runtime/mount"},
	"runtime/monitor":     {"runtime/boot", "runtime/dormant", "runtime/sealed", "runtime/logs", "runtime/proto"},
	"runtime/dormant":     {"runtime/elf"},
	"runtime/pid1":        {"runtime/elf"},
	"runtime/boot":        {"runtime/pid1", "runtime/sealed", "runtime/proto", "runtime/mount"},
	"runtime/initprog":    {"runtime/sealed"},
	"runtime/cgroup":      {"runtime/proto"},
	"runtime/proto":       {"runtime/mount"},
}

// walled says why from may not import to when both are of one room that walls has, or "".
func walled(from, to string) string {
	if r := room(from); r == "" || r == "volume" || r != room(to) || from == r || slices.Contains(walls[from], to) {
		return ""
	}
	return "it is not made of that, see walls"
}

// TestWalls: within a room, too, imports go one way.
func TestWalls(t *testing.T) {
	pkgs := load(t)
	rule(walled).holds(t, pkgs)
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
	rule(walled).says(t, []ruling{
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
		{"network/sandbox", "network/cabling", false},
		{"network/sandbox", "network/media", true},
		{"network/cabling", "network/sandbox", true},
		{"network/media", "network/cabling", true},
		{"network/bridge", "network/media", true},
		{"network/subnet", "network/membership", true},
		{"runtime/supervision", "runtime/child", false},
		{"runtime/child", "runtime/supervision", true},
		{"runtime/record", "runtime/guard", true},
		{"runtime/guard", "runtime/supervision", true},
		{"runtime/exec", "runtime/supervision", true},
		{"runtime/monitor", "runtime/record", true},
		{"runtime/container", "runtime/record", true},
		{"runtime/logs", "runtime", true},
	})
}

// TestDefinitionsTouchNothing: what may be asked of a network and what a container is, is decided without the host.
func TestDefinitionsTouchNothing(t *testing.T) {
	pkgs := load(t)
	for path, made := range map[string][]string{
		"network/definition": {"network/ipam", "internal/errdefs", "internal/objectid"},
		// Times are among its values; of unix it has the numbers of signals.
		"runtime/container": {"runtime/pid1", "runtime/process", "runtime/mount", "internal/errdefs", "github.com/opencontainers/runtime-spec/specs-go", "time", "golang.org/x/sys/unix"},
	} {
		p := pkgs[path]
		if p == nil {
			t.Fatalf("there is no package %s", path)
		}
		for to, files := range p.imports {
			first, _, _ := strings.Cut(to, "/")
			if dep, own := ours(to); own {
				to = dep
			}
			if !slices.Contains(made, to) && (slices.Contains([]string{"os", "context", "time", "syscall"}, first) || strings.Contains(first, ".")) {
				t.Errorf("%s imports %s (%s)", path, to, strings.Join(files, ", "))
			}
		}
	}
}
