package deps

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// valued are the packages of reconcile, beside the engine itself and the interfaces to the drivers, that have values of the rooms in hand: those of what is on the host, or of what is to
// be there. The others decide without.
var valued = []string{"reconcile/access", "reconcile/await", "reconcile/bundle", "reconcile/errand", "reconcile/execs", "reconcile/forward", "reconcile/grant", "reconcile/healing", "reconcile/images", "reconcile/inventory", "reconcile/library", "reconcile/lifecycle", "reconcile/oneoff", "reconcile/output", "reconcile/performer", "reconcile/ports", "reconcile/preflight", "reconcile/resource", "reconcile/single", "reconcile/snapshot", "reconcile/wiring"}

// rooms touch the kernel; they know nothing of Compose and nothing of each other.
var rooms = []string{"runtime", "network", "volume", "image"}

func room(p string) string {
	for _, r := range rooms {
		if in(p, r) {
			return r
		}
	}
	return ""
}

// TestImportDirections holds the arrows of docs/architecture.md.
func TestImportDirections(t *testing.T) {
	rule(forbidden).holds(t, load(t))
}

// forbidden says why from may not import to, or "".
func forbidden(from, to string) string {
	switch {
	case in(to, "cmd") && !in(from, "cmd"):
		return "only cmd imports cmd"
	case in(to, "internal/sandbox") || in(to, "internal/testimage") || in(to, "internal/registry") || in(to, "internal/layertest"):
		if !in(from, "internal") && from != "cmd/stack/stacktest" && !in(from, "cmd/stack-bench") {
			return "the test machinery is for tests and measurements"
		}
	case (in(from, "spec") || in(from, "schema")) && !in(to, "spec") && !in(to, "schema") && !in(to, "internal"):
		return "spec stands alone: it turns files into values, by schema's table of what is supported"
	case room(from) != "":
		if to == "runtime/mount" || in(to, "internal") || room(to) == room(from) {
			return ""
		}
		return room(from) + " knows nothing of Compose and nothing of the other rooms; mount values are the shared word"
	case in(from, "build"):
		if in(to, "internal") || in(to, "build") || room(to) != "" {
			return ""
		}
		return "build makes images by way of the rooms, and knows nothing of Compose"
	case in(to, "build") && from != "reconcile" && from != "reconcile/images" && from != "reconcile/library" && from != "reconcile/lifecycle" && !in(from, "reconcile/driver") && !in(from, "cmd"):
		return "builds are asked for by the engine, through reconcile/driver"
	case in(from, "reconcile"):
		switch {
		case in(to, "build"):
		case in(to, "spec"), in(to, "reconcile"), in(to, "internal"):
		case from == "reconcile/ask" && slices.Contains(leaves, to): // values that the runtime has too
		case room(to) != "" && from != "reconcile" && !in(from, "reconcile/driver") && !slices.Contains(valued, from):
			return "of reconcile only the engine, the driver interfaces and those that are named in valued import the rooms, for their values"
		case room(to) == "":
			return "reconcile imports spec, its own packages and the rooms' values"
		}
	case in(from, "api/docker"):
		switch {
		case in(to, "internal"), to == "reconcile", to == "reconcile/ask", to == "reconcile/event", room(to) != "", to == "api/docker/wire", to == "api":
		case in(from, "api/docker/containers") && (to == "reconcile/plan" || to == "reconcile/execs" || to == "reconcile/single" || to == "reconcile/standalone"): // what a container is made of, and who makes it
		case to == "reconcile/resource" && (in(from, "api/docker/networks") || in(from, "api/docker/volumes")):
		case from == "api/docker" && in(to, "api/docker"):
		case in(from, "api/docker/buildkit") && in(to, "api/docker/buildkit"):
		default:
			return "the handlers of the Docker Engine API translate between it and the engine; each noun stands alone"
		}
		if from == "api/docker/wire" && !in(to, "internal") {
			return "the API's conventions have nothing to do with its objects"
		}
	case in(to, "api/docker") && from != "cmd/stack/daemon":
		return "the program puts the Docker Engine API in front of the engine"
	case in(from, "internal") && (in(to, "reconcile") || in(to, "api")):
		return "internal packages serve the others and know none of them"
	}
	return ""
}

// TestDockerTypes: what docker has given names to stays at its API, and its client is for tests.
func TestDockerTypes(t *testing.T) {
	for _, p := range sortedPkgs(load(t)) {
		for to, files := range p.imports {
			if in(to, "github.com/moby/moby/client") {
				t.Errorf("%q import docker's client", files)
			}
			if in(to, "github.com/moby/moby/api") && !in(p.path, "api/docker") {
				t.Errorf("%q import the types of the Docker Engine API: they are for api/docker", files)
			}
		}
	}
}

// TestForbidden: the rules say no where they must, so that a change of them is seen.
func TestForbidden(t *testing.T) {
	rule(forbidden).says(t, []ruling{
		{"runtime/boot", "runtime/mount", false},
		{"image", "runtime/mount", false},
		{"image", "runtime", true},
		{"network", "spec", true},
		{"volume", "reconcile/driver", true},
		{"reconcile", "runtime", false},
		{"reconcile/driver", "network", false},
		{"reconcile/plan", "network", true},
		{"reconcile/resource", "network", false},
		{"reconcile/wish", "runtime", true},
		{"reconcile/ask", "runtime/process", false},
		{"reconcile/ask", "runtime", true},
		{"reconcile", "api", true},
		{"spec", "runtime", true},
		{"cmd/stack", "reconcile", false},
		{"build", "image", false},
		{"build", "runtime", false},
		{"build", "spec", true},
		{"build", "reconcile/driver", true},
		{"image", "build", true},
		{"reconcile/driver", "build", false},
		{"reconcile", "build", false},
		{"reconcile/plan", "build", true},
		{"api/server", "build", true},
		{"api/server", "cmd/stack/settings", true},
		{"runtime", "internal/sandbox", true},
		{"api/docker", "api/docker/networks", false},
		{"api/docker/networks", "reconcile", false},
		{"api/docker/networks", "api/docker/wire", false},
		{"api/docker/networks", "api/docker/volumes", true},
		{"api/docker/buildkit", "api/docker/buildkit/session", false},
		{"api/docker/images", "api/docker/buildkit", true},
		{"api/docker/buildkit", "build", true},
		{"api/docker/networks", "reconcile/resource", false},
		{"api/docker/images", "reconcile/resource", true},
		{"api/docker/networks", "reconcile/plan", true},
		{"api/docker/networks", "spec", true},
		{"api/docker/wire", "reconcile", true},
		{"api/server", "api/docker", true},
		{"cmd/stack/daemon", "api/docker", false},
		{"cmd/stack", "api/docker", true},
	})
}

// TestPure: the planner and the graph decide from their arguments alone, so that a plan can be printed, compared and trusted.
func TestPure(t *testing.T) {
	for _, p := range sortedPkgs(load(t)) {
		if !in(p.path, "reconcile/plan") && !in(p.path, "reconcile/graph") {
			continue
		}
		for to, files := range p.imports {
			first, _, _ := strings.Cut(to, "/")
			if slices.Contains([]string{"os", "net", "context", "syscall"}, first) || slices.Contains([]string{"math/rand", "math/rand/v2", "crypto/rand"}, to) {
				t.Errorf("%s imports %s (%s): a plan depends on nothing but its input", p.path, to, strings.Join(files, ", "))
			}
		}
		for name, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					x, ok := s.X.(*ast.Ident)
					if ok && x.Name == "objectid" && s.Sel.Name == "New" {
						t.Errorf("%s makes up an id (%s): two plans of one input would differ", p.path, name)
					}
					if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker"}, s.Sel.Name) {
						t.Errorf("%s uses time.%s (%s): a plan reads no clock", p.path, s.Sel.Name, name)
					}
				}
				return true
			})
		}
	}
}

// TestInitProgramIsSmall: what runs between clone and execve, and stays for each container, links none of the large
// packages.
func TestInitProgramIsSmall(t *testing.T) {
	allowed := []string{"golang.org/x/sys/unix", "github.com/opencontainers/runtime-spec/specs-go", "github.com/cyphar/filepath-securejoin"}
	large := []string{"net", "net/http", "crypto/tls", "os/exec", "text/template", "html/template", "log/slog", "go/ast", "testing"}
	pkgs := load(t)
	seen := map[string]bool{}
	var visit func(p, via string)
	visit = func(at, via string) {
		if seen[at] {
			return
		}
		seen[at] = true
		p := pkgs[at]
		if p == nil {
			t.Errorf("package %s, imported by %s, is not there", at, via)
			return
		}
		for to := range p.imports {
			if dep, ok := ours(to); ok {
				visit(dep, at)
				continue
			}
			if slices.Contains(large, to) || strings.Contains(to, ".") && !slices.ContainsFunc(allowed, func(a string) bool { return in(to, a) }) {
				t.Errorf("the init program links %s, by %s", to, at)
			}
		}
	}
	visit("cmd/stack-init", "")
}

func sortedPkgs(m map[string]*pkg) []*pkg {
	var out []*pkg
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
