package spec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/internal/sparsejson"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

var update = flag.Bool("update", false, "write the golden files")

// loadCase loads a file of testdata. Its first comments may say more:
//
//	# env: A=1 B=2
//	# profiles: dev
//	# services: web
//	# files: other.yaml (further -f files)
func loadCase(t *testing.T, dir, file string) (*spec.Project, diag.List, spec.Input) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	in := spec.Input{FS: os.DirFS(dir), Files: []string{"/" + file}, Dir: "/", Name: "demo", Env: map[string]string{"HOME": "/home/me"}}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": ")
		if !strings.HasPrefix(line, "# ") || !ok {
			break
		}
		switch words := strings.Fields(value); key {
		case "env":
			for _, w := range words {
				k, v, _ := strings.Cut(w, "=")
				in.Env[k] = v
			}
		case "profiles":
			in.Profiles = words
		case "services":
			in.Services = words
		case "files":
			for _, w := range words {
				in.Files = append(in.Files, "/"+w)
			}
		}
	}
	p, list := spec.Load(context.Background(), in)
	return p, list, in
}

func render(t *testing.T, dir string, list diag.List) string {
	t.Helper()
	var b strings.Builder
	err := diag.Render(&b, list, diag.Style{Dir: "/", Sources: func(file string) ([]byte, bool) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		return data, err == nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", file, diff)
	}
}

func cases(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	var out []string
	for _, f := range files {
		if base := filepath.Base(f); !strings.Contains(base, ".part.") {
			out = append(out, base)
		}
	}
	return out
}

// TestRefused holds every file of testdata/err against its exact diagnostics.
func TestRefused(t *testing.T) {
	const dir = "testdata/err"
	for _, file := range cases(t, dir) {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			p, list, _ := loadCase(t, dir, file)
			if p != nil || !list.HasErrors() {
				t.Error("the file loads, it must not")
			}
			golden(t, filepath.Join(dir, strings.TrimSuffix(file, ".yaml")+".out"), render(t, dir, list))
		})
	}
}

// TestAccepted holds every file of testdata/ok against the project it gives, and
// against its warnings in .warn when it has any.
func TestAccepted(t *testing.T) {
	const dir = "testdata/ok"
	for _, file := range cases(t, dir) {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			p, list, _ := loadCase(t, dir, file)
			if p == nil {
				t.Fatalf("the file does not load:\n%s", render(t, dir, list))
			}
			base := filepath.Join(dir, strings.TrimSuffix(file, ".yaml"))
			if len(list) > 0 {
				golden(t, base+".warn", render(t, dir, list))
			} else if _, err := os.Stat(base + ".warn"); err == nil {
				t.Errorf("no warnings, but %s.warn has some", base)
			}
			roundTrip(t, p)
			p.Sources = nil
			golden(t, base+".json", compact(t, p))
		})
	}
}

// roundTrip shows that a project survives JSON unchanged: so it reaches the daemon.
func roundTrip(t *testing.T, p *spec.Project) {
	t.Helper()
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, sparsejson.Marshal} {
		data, err := marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back spec.Project
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, &back); diff != "" {
			t.Errorf("the project changes on its way through JSON (-before +after):\n%s", diff)
		}
	}
}

// compact is p as JSON without what is zero, so that goldens show what was said.
func compact(t *testing.T, p *spec.Project) string {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(prune(v)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func prune(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		if l, ok := v.([]any); ok {
			for i := range l {
				l[i] = prune(l[i])
			}
		}
		return v
	}
	for k, e := range m {
		switch e := e.(type) {
		case nil:
			delete(m, k)
		case bool:
			if !e {
				delete(m, k)
			}
		case string:
			if e == "" {
				delete(m, k)
			}
		case json.Number:
			if e == "0" {
				delete(m, k)
			}
		default:
			m[k] = prune(e)
		}
	}
	return m
}
