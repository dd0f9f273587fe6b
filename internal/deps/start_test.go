package deps

import (
	"go/ast"
	"go/token"
	"slices"
	"testing"
)

// linked are the packages of ours that the program at from links; of the command, as users have it.
func linked(pkgs map[string]*pkg, from string) []*pkg {
	var all []*pkg
	var add func(p *pkg)
	add = func(p *pkg) {
		if p == nil || slices.Contains(all, p) {
			return
		}
		all = append(all, p)
		for to, files := range p.imports {
			if to, ok := ours(to); ok && !slices.Equal(files, []string{withDaemon}) {
				add(pkgs[to])
			}
		}
	}
	add(pkgs[from])
	return all
}

// withDaemon is the file that links the daemon into the command: of a binary for tests with failpoints.
const withDaemon = "cmd/stack/linked_on.go"

// TestStartIsCheap: every command, and every start of a daemon, pays for what the packages of its program do before main. Regular expressions of package variables
// are compiled when they are needed (internal/lazyregexp), and no package is imported that is known to make large tables.
func TestStartIsCheap(t *testing.T) {
	pkgs := load(t)
	all := append(linked(pkgs, "cmd/stack"), linked(pkgs, "cmd/stack-daemon")...)
	if len(all) < 50 {
		t.Fatalf("the programs link only %d packages of ours", len(all))
	}
	for _, p := range all {
		if files := p.imports["github.com/elastic/go-seccomp-bpf/arch"]; files != nil {
			t.Errorf("%q: its tables are made at each start, use those of runtime/seccomp", files)
		}
		for name, f := range p.files {
			for _, d := range f.Decls {
				vars, ok := d.(*ast.GenDecl)
				if !ok || vars.Tok != token.VAR {
					continue
				}
				ast.Inspect(vars, func(n ast.Node) bool {
					if _, later := n.(*ast.FuncLit); later {
						return false
					}
					if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "MustCompile" || s.Sel.Name == "MustCompilePOSIX") {
						t.Errorf("%s:%d compiles a regular expression at each start", name, p.fset.Position(s.Pos()).Line)
					}
					return true
				})
			}
		}
	}
}
