package deps

import (
	"go/ast"
	"go/token"
	"slices"
	"testing"
)

// linked are the packages of ours that the program at from links.
func linked(pkgs map[string]*pkg, from string) []*pkg {
	var all []*pkg
	var add func(p *pkg)
	add = func(p *pkg) {
		if p == nil || slices.Contains(all, p) {
			return
		}
		all = append(all, p)
		for to := range p.imports {
			if to, ok := ours(to); ok {
				add(pkgs[to])
			}
		}
	}
	add(pkgs[from])
	return all
}

// TestStartIsCheap: every command pays for what the packages of the program do before main, the daemon's too. Regular expressions of package variables
// are compiled when they are needed (internal/lazyregexp), and no package is imported that is known to make large tables.
func TestStartIsCheap(t *testing.T) {
	all := linked(load(t), "cmd/stack")
	if len(all) < 50 {
		t.Fatalf("cmd/stack links only %d packages of ours", len(all))
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
