package spec_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stackrun/stack/spec"
	canonical "github.com/stackrun/stack/spec/render"
)

// FuzzLoad: whatever a file holds, Load ends, and gives a project or an error.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"testdata/ok", "testdata/err"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		load := func(purpose spec.Purpose) *spec.Project {
			p, list := spec.Load(context.Background(), spec.Input{
				FS:    fstest.MapFS{"c.yaml": {Data: data}, "e.env": {Data: []byte("A=1\n")}},
				Files: []string{"/c.yaml"}, Dir: "/", Name: "fuzz", Profiles: []string{"*"}, Purpose: purpose,
			})
			if (p == nil) != list.HasErrors() {
				t.Fatalf("project %t, errors %v", p != nil, list.Err())
			}
			return p
		}
		shown, managed := load(spec.ToShow), load(spec.ToManage)
		if shown != nil {
			if managed == nil {
				t.Fatal("it can be shown and not managed")
			}
			if err := canonical.YAML(io.Discard, shown); err != nil {
				t.Fatal(err)
			}
		}
		p := load(spec.ToRun)
		if p == nil {
			return
		}
		if shown == nil {
			t.Fatal("it can be run and not shown")
		}
		for name, s := range p.Services {
			if s.Image == "" || s.Name != name {
				t.Fatalf("service %q: %+v", name, s)
			}
		}
	})
}

// FuzzMerge: two documents merge, or say why not.
func FuzzMerge(f *testing.F) {
	base, _ := os.ReadFile("testdata/ok/merge.yaml")
	over, _ := os.ReadFile("testdata/ok/merge.part.yaml")
	f.Add(base, over)
	f.Add([]byte("services: {a: {image: x, extends: b}, b: {image: y}}"), []byte("services: {a: {extends: !reset null}}"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p, list := spec.Load(context.Background(), spec.Input{
			FS:    fstest.MapFS{"a.yaml": {Data: a}, "b.yaml": {Data: b}},
			Files: []string{"/a.yaml", "/b.yaml"}, Dir: "/", Name: "fuzz",
		})
		if (p == nil) != list.HasErrors() {
			t.Fatalf("project %t, errors %v", p != nil, list.Err())
		}
	})
}

func FuzzPorts(f *testing.F) {
	for _, s := range []string{"80", "80:80", "127.0.0.1:80:80/udp", "[::1]:1-2:3-4", "::1:80:80", "8000-9000:80", "0", "-", ":", "a:b:c", "65535-65535"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := spec.ParsePorts(s)
		if err == nil && len(ports) == 0 {
			t.Fatalf("%q gives neither ports nor an error", s)
		}
		for _, p := range ports {
			if p.Target == 0 || p.PublishedEnd != 0 && p.PublishedEnd <= p.Published {
				t.Fatalf("%q gives %+v", s, p)
			}
		}
	})
}

// FuzzVolumes goes through Load, for the short form needs a project directory.
func FuzzVolumes(f *testing.F) {
	for _, s := range []string{"/a", "a:/b", "./a:/b:ro", "~/x:/y:rslave,z", "a:/b:c:d", "::", "", "a:b", "/a/../b:/c/../d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, _ := spec.Load(context.Background(), spec.Input{
			FS:    fstest.MapFS{"c.yaml": {Data: []byte("services: {w: {image: x, volumes: [$V]}}\nvolumes: {a: }")}},
			Files: []string{"/c.yaml"}, Dir: "/srv", Name: "fuzz", Env: map[string]string{"V": s},
		})
		if p == nil {
			return
		}
		for _, m := range p.Services["w"].Mounts {
			if !filepath.IsAbs(m.Target) || filepath.Clean(m.Target) != m.Target || m.Target == "/" || m.Type == "bind" && !filepath.IsAbs(m.Source) {
				t.Fatalf("%q gives %+v", s, m)
			}
		}
	})
}
