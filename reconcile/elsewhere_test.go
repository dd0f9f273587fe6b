package reconcile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// TestAnotherDirectoryOfThisName: who brings up a second checkout under the name of the first is told, once; who has moved the first is not.
func TestAnotherDirectoryOfThisName(t *testing.T) {
	run(t, func(b *bench) {
		top := t.TempDir()
		in := func(dir string) *spec.Project {
			dir = filepath.Join(top, dir)
			file := filepath.Join(dir, "compose.yaml")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				b.Fatal(err)
			}
			p := project(service("web"))
			p.Dir, p.Files = dir, []string{file}
			return p
		}
		warned := func(do func()) bool {
			b.events = nil
			do()
			got := b.warned() // of what this host cannot give, too
			told := strings.Contains(got, "another directory has a project of this name")
			if told && !strings.Contains(got, "-p NAME") {
				b.Errorf("warned of %q", got)
			}
			return told
		}
		up := func(dir string) func() { return func() { b.up(in(dir), ask.UpOptions{}) } }
		first := in("a")
		for _, tt := range []struct {
			what string
			do   func()
			want bool
		}{
			{"the first", up("a"), false},
			{"the same again", up("a"), false},
			{"another", up("b"), true},
			{"that again", up("b"), false},
			{"by a link", func() {
				if err := os.Symlink(filepath.Join(top, "b"), filepath.Join(top, "link")); err != nil {
					b.Fatal(err)
				}
				up("link")()
			}, false},
			{"moved", func() {
				if err := os.Rename(filepath.Join(top, "b"), filepath.Join(top, "c")); err != nil {
					b.Fatal(err)
				}
				up("c")()
			}, false},
			{"the file is gone", func() {
				if err := os.Remove(filepath.Join(top, "c", "compose.yaml")); err != nil {
					b.Fatal(err)
				}
				b.up(first, ask.UpOptions{})
			}, false},
		} {
			if got := warned(tt.do); got != tt.want {
				b.Errorf("%s: warned: %v, want %v", tt.what, got, tt.want)
			}
		}
		if preview := b.plan(in("d"), ask.UpOptions{}); len(preview.Warnings) != 1 || preview.Warnings[0].Code != "elsewhere" {
			b.Errorf("plan warns of %v", preview.Warnings)
		}
	})
}
