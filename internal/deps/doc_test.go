package deps

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPackagesAreDocumented: every package says what it is for.
func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range sortedPkgs(load(t)) {
		documented := false
		for _, f := range p.files {
			documented = documented || f.Doc != nil && len(f.Doc.Text()) > 20
		}
		if !documented {
			t.Errorf("package %s has no doc comment", p.path)
		}
	}
}

// cited is a path to a file of ours in running text: letters first, at least one slash, a known ending.
var cited = regexp.MustCompile(`(^|[\s("'` + "`" + `\[,:])((?:cmd|spec|schema|reconcile|runtime|network|volume|image|build|api|internal|examples|docs|\.ci)/[A-Za-z0-9_./-]*\.(?:go|md|sh|yaml|conf|txt|py|sql|in))\b`)

// link is a link of a page to a file.
var link = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

// TestCitedFilesExist: a comment or a page that names a file of this tree names one that is there.
func TestCitedFilesExist(t *testing.T) {
	dir := top(t)
	exists := func(p string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p)))
		return err == nil
	}
	walk(t, func(name string) {
		page := strings.HasSuffix(name, ".md")
		if !page && !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".sh") && path.Base(name) != "Makefile" {
			return
		}
		if path.Dir(name) == "internal/deps" {
			return
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for n := 1; s.Scan(); n++ {
			text := s.Text()
			if strings.HasSuffix(name, ".go") {
				_, comment, ok := strings.Cut(text, "//")
				if !ok {
					continue
				}
				text = comment
			}
			for _, m := range cited.FindAllStringSubmatch(text, -1) {
				if !exists(m[2]) && !(page && exists(path.Join(path.Dir(name), m[2]))) {
					t.Errorf("%s:%d cites %s, which does not exist", name, n, m[2])
				}
			}
			if page {
				for _, m := range link.FindAllStringSubmatch(text, -1) {
					if !exists(path.Join(path.Dir(name), m[1])) {
						t.Errorf("%s:%d links to %s, which does not exist", name, n, m[1])
					}
				}
			}
		}
		if err := s.Err(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	})
}
