package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/image/unpack"
)

// opened is the catalog in the directory root.
func opened(t *testing.T, root string, notice func(string)) (*Catalog, error) {
	t.Helper()
	dir, err := storage.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := layer.Open(dir, unpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return Open(dir, layers, notice)
}

// A damaged index keeps nobody from starting: it is put aside, which is told, and there are no images until they are pulled again.
func TestDamagedIndexIsPutAside(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "half": `{"version": 1, "images": [{"id": "sha256:`, "zeroes": strings.Repeat("\x00", 512), "another": `{"version": "one"}`} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, "index.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				var told []string
				c, err := opened(t, root, func(text string) { told = append(told, text) })
				if err != nil {
					t.Fatal(err)
				}
				if list, err := c.List(); err != nil || len(list) > 0 {
					t.Errorf("images: %v, %v", list, err)
				}
				if i == 0 && (len(told) != 1 || !strings.Contains(told[0], path)) || i == 1 && len(told) > 0 {
					t.Errorf("daemon %d was told %q", i+1, told)
				}
			}
			kept, err := filepath.Glob(path + ".damaged-*")
			if err != nil || len(kept) != 1 {
				t.Fatalf("kept: %v, %v", kept, err)
			}
			if b, err := os.ReadFile(kept[0]); err != nil || string(b) != content {
				t.Errorf("kept %q, %v", b, err)
			}
		})
	}
}

// FuzzIndex: whatever lies where the index of images was, the store opens and lists what there is, or says that the index is another version's.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"version":1,"images":[{"id":"sha256:` + strings.Repeat("a", 64) + `","refs":["docker.io/library/app:1"],"layers":[]}]}`))
	f.Add([]byte(`{"version":1,"images":[null]}`))
	f.Add([]byte(`{"version":1,"images":[{"refs":["x",""],"layers":[null],"patch":"../x"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1}x`))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "index.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := opened(t, root, nil)
		if err != nil {
			if !strings.Contains(err.Error(), "version") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if _, err := c.List(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
