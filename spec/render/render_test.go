package render_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/render"
)

var update = flag.Bool("update", false, "write the golden files")

func load(t *testing.T, text []byte) *spec.Project {
	t.Helper()
	p, list := spec.Load(context.Background(), spec.Input{
		FS: fstest.MapFS{"srv/compose.yaml": {Data: text}}, Files: []string{"/srv/compose.yaml"}, Dir: "/srv", Name: "demo", Purpose: spec.ToShow,
		Env: map[string]string{"PW": "s3cret", "HOME": "/home/me", "TAG": "1.22", "HOST_ONLY": "x"},
	})
	if p == nil {
		t.Fatal(list.Err())
	}
	return p
}

// TestGolden holds the canonical text of testdata/*.yaml against .canonical.yaml and
// .canonical.json, and shows that the text loads again to the same project.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	if len(files) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range append(files, "../testdata/ok/kitchen-sink.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p := load(t, data)
			base := filepath.Join("testdata", strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".in"))
			var y, j bytes.Buffer
			if err := render.YAML(&y, p); err != nil {
				t.Fatal(err)
			}
			if err := render.JSON(&j, p); err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string][]byte{base + ".canonical.yaml": y.Bytes(), base + ".canonical.json": j.Bytes()} {
				if *update {
					if err := os.WriteFile(name, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("%s differs (-want +got):\n%s", name, diff)
				}
				if strings.HasSuffix(name, "everything.canonical.json") {
					// As docker compose's, this JSON is no Compose file: blkio_config has
					// capitals, and models are not in it.
					continue
				}
				again := load(t, got)
				again.Sources, again.Inactive = nil, nil
				was := *p
				was.Sources, was.Inactive = nil, nil
				if diff := cmp.Diff(&was, again); diff != "" {
					t.Errorf("%s loads as another project (-before +after):\n%s", name, diff)
				}
			}
		})
	}
}
