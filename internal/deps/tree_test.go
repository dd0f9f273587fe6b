package deps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stackrun/stack"

// pkg is one directory of Go files, without tests.
type pkg struct {
	path    string              // below module; "" for its root
	imports map[string][]string // import path → files
	files   map[string]*ast.File
	fset    *token.FileSet
}

func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk calls fn for every file of the tree that belongs to the project, with its path from the top.
func walk(t *testing.T, fn func(name string)) {
	t.Helper()
	dir := top(t)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || d.Name() == "testdata" || rel == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		fn(rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// load parses every package of the module. Files of other systems and with other build tags count too.
func load(t *testing.T) map[string]*pkg {
	t.Helper()
	pkgs := map[string]*pkg{}
	dir := top(t)
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		at := path.Dir(name)
		p := pkgs[at]
		if p == nil {
			p = &pkg{path: at, imports: map[string][]string{}, files: map[string]*ast.File{}, fset: token.NewFileSet()}
			pkgs[at] = p
		}
		f, err := parser.ParseFile(p.fset, filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.files[name] = f
		for _, i := range f.Imports {
			to, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			p.imports[to] = append(p.imports[to], name)
		}
	})
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages found below %s", len(pkgs), dir)
	}
	return pkgs
}

// ours turns an import path into one below the module.
func ours(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// in says whether p is room or below it.
func in(p, room string) bool { return p == room || strings.HasPrefix(p, room+"/") }
