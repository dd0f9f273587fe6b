package build

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzIgnore: whatever a .dockerignore says, it is read or refused, and what it says of a file does not depend on which were asked about before.
func FuzzIgnore(f *testing.F) {
	for _, seed := range []string{"node_modules\n!node_modules/keep\n", "**/*.log\n# x\n!a/**/b\n", "\xef\xbb\xbf*\n!src\n", "/a/../b\n.\n!\n", "[a-\n", "a/**\n!a/b/c/*\n", "\\#x\n**\n!**/f"} {
		f.Add(seed, "a/b/c/f")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if !filepath.IsLocal(name) || filepath.Clean(name) != name {
			return
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := readIgnore(dir, "")
		if err != nil {
			return
		}
		w := i.walk()
		for at := name; at != "."; at = filepath.Dir(at) { // the file first
			first, err := w.drops(at)
			if err != nil {
				return
			}
			if again, err := i.walk().drops(at); err != nil || again != first {
				t.Errorf("%q of %q: %v, and alone %v, %v", at, text, first, again, err)
			}
		}
	})
}
