package deps

import (
	"go/ast"
	"regexp"
	"slices"
	"testing"
)

// commandLayers are the packages of the command, each above all that it may import: what a run of it is, what several verbs do, the verbs by noun, and
// the root command, which names them all. What is not named is a part: it knows nothing of a run. Only parts import each other within one layer.
var commandLayers = [][]string{
	{"cmd/stack/console", "cmd/stack/launch"},
	{"cmd/stack/cli"},
	{"cmd/stack/preview", "cmd/stack/provision", "cmd/stack/sources"},
	{
		"cmd/stack/containers", "cmd/stack/deploy", "cmd/stack/file", "cmd/stack/host", "cmd/stack/images", "cmd/stack/lifecycle", "cmd/stack/plans",
		"cmd/stack/session", "cmd/stack/volumes",
	},
	{"cmd/stack/root"},
	{"cmd/stack", "cmd/stack/stacktest"},
}

// commandNouns is the layer of the verbs.
const commandNouns = 4

// commandLayer is the floor that p stands on; 0 is that of the parts.
func commandLayer(p string) int {
	return 1 + slices.IndexFunc(commandLayers, func(l []string) bool { return slices.Contains(l, p) })
}

// climbs says why from may not import to when both are of the command, or "".
func climbs(from, to string) string {
	if !in(from, "cmd/stack") || !in(to, "cmd/stack") {
		return ""
	}
	switch above, below := commandLayer(from), commandLayer(to); {
	case below == 0, below < above:
		return ""
	case below == above:
		return "packages of one layer of the command do not know each other"
	}
	return "the command's packages import downwards: see commandLayers"
}

// TestCommandLayers holds the order of the command's packages.
func TestCommandLayers(t *testing.T) {
	pkgs := load(t)
	for _, l := range commandLayers {
		for _, p := range l {
			if pkgs[p] == nil {
				t.Errorf("there is no package %s", p)
			}
		}
	}
	rule(climbs).holds(t, pkgs)
	rule(climbs).says(t, []ruling{
		{"cmd/stack", "cmd/stack/root", false},
		{"cmd/stack/root", "cmd/stack/deploy", false},
		{"cmd/stack/deploy", "cmd/stack/cli", false},
		{"cmd/stack/deploy", "cmd/stack/lifecycle", true},
		{"cmd/stack/cli", "cmd/stack/preview", true},
		{"cmd/stack/console", "cmd/stack/cli", true},
		{"cmd/stack/watch", "cmd/stack/watch/rule", false},
		{"cmd/stack/progress", "cmd/stack/console", true},
	})
}

// TestNounsExportTheirCommands: a package of verbs has nothing for others but what makes the verbs' commands.
func TestNounsExportTheirCommands(t *testing.T) {
	maker := regexp.MustCompile(`^New[A-Z][A-Za-z]*Command$`)
	pkgs := load(t)
	for _, p := range commandLayers[commandNouns-1] {
		for name, f := range pkgs[p].files {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv != nil || !d.Name.IsExported() {
						continue
					}
					if !maker.MatchString(d.Name.Name) {
						t.Errorf("%s exports %s", name, d.Name.Name)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						switch s := s.(type) {
						case *ast.TypeSpec:
							if s.Name.IsExported() {
								t.Errorf("%s exports the type %s", name, s.Name.Name)
							}
						case *ast.ValueSpec:
							for _, n := range s.Names {
								if n.IsExported() {
									t.Errorf("%s exports %s", name, n.Name)
								}
							}
						}
					}
				}
			}
		}
	}
}
