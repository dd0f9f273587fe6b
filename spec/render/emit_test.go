package render

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/interp"
)

// TestEmitIsTheEncoder holds the emitter against yaml.v3 over every file that loads, and over odd texts in every place.
func TestEmitIsTheEncoder(t *testing.T) {
	check := func(name string, v value) {
		t.Helper()
		want, err := encode(v.yaml())
		if err != nil {
			t.Fatal(err)
		}
		got, err := emit(v.yaml())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" && !blocks(v) {
			t.Errorf("%s (-yaml.v3 +emit):\n%s", name, diff)
		}
	}
	seen := 0
	for _, dir := range []string{"../testdata/ok", "testdata"} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, file := range files {
			p, _ := spec.Load(context.Background(), spec.Input{
				FS: os.DirFS(dir), Files: []string{"/" + filepath.Base(file)}, Dir: "/", Name: "demo", Purpose: spec.ToShow, Profiles: []string{"*"},
				Env: map[string]string{"HOME": "/home/me", "TAG": "1.22", "PW": "s3cret", "HOST_ONLY": "x"},
			})
			if p != nil {
				seen++
				check(file, project(p))
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d files load", seen)
	}
	odd := []string{"", " ", "a b", "a  b", "a: b", "a:b", "a:", "a #b", "a#b", "#a", "- a", "-", "-a", "1", "01", "0x1f", "1e3", "1_000", "12:30", "123456789012345678901", "true", "Yes", "NULL", "~",
		".inf", "2001-01-01", "*a", "&a", "!a", "%a", "@a", "`a", "{a", "[a", "a]", "a, b", "'a'", "\"a\"", "\\", "a\tb", "\x01", "é", "a\n", "a\nb", "\na", "  a\nb\n", "a\n\n", "a \nb", "\n", "/", "/a b",
		"$a", "=", "<<", "a?", "?a", "? a", "a\rb", "\u0085", "e1", "http://a:80/b", "x=y z", "a ", "ends:", "\ufeff", "\U0001f600", "a\u2028b", "\n\na\n  b\n", "\n  a\nb", "\n\ta\n", "\n- a\n", "\n#a\n\n"}
	for _, s := range odd {
		// What is written is what is read again, by the encoder too: config's output is a file for -f.
		for name, write := range map[string]func(*yaml.Node) (string, error){"emit": emit, "yaml.v3": encode} {
			v := object{{"k", text(s)}, {"in", object{{"k", list{text(s), object{{"a", text(s)}}}}}}}
			written, err := write(v.yaml())
			var back struct {
				K  string
				In struct{ K []yaml.Node }
			}
			if err == nil {
				err = yaml.Unmarshal([]byte(written), &back)
			}
			if want := interp.Escape(s); err != nil || back.K != want || len(back.In.K) != 2 || back.In.K[0].Value != want || back.In.K[1].Content[1].Value != want {
				t.Errorf("%s: %q is read again as %+v (%v) from\n%s", name, want, back, err, written)
			}
		}
		check(s, object{{"k", text(s)}, {"in", object{{"k", list{text(s), object{{"a", text(s)}, {"b", list{text(s), list{text(s), null{}}}}}}}}}})
		if s != "" {
			check("key "+s, object{{s, object{{s, integer(1)}}}})
		}
	}
}

// blocks says whether v has a text that is a block here and in quotes in yaml.v3's hands, which lose its first line break otherwise.
func blocks(v value) bool {
	switch v := v.(type) {
	case text:
		return strings.HasPrefix(string(v), "\n")
	case list:
		return slices.ContainsFunc(v, blocks)
	case object:
		return slices.ContainsFunc(v, func(f field) bool { return blocks(f.value) })
	}
	return false
}

func FuzzEmit(f *testing.F) {
	f.Add("a: b\n")
	f.Fuzz(func(t *testing.T, s string) {
		v := object{{"k", object{{"a", text(s)}, {"b", list{text(s), object{{"c", text(s)}}}}}}}
		want, err := encode(v.yaml())
		if err != nil {
			t.Skip() // not to be written at all
		}
		if got, err := emit(v.yaml()); err != nil || got != want && !blocks(v) {
			t.Errorf("%q: %v\n%s\nyaml.v3:\n%s", s, err, got, want)
		}
	})
}

func BenchmarkYAML(b *testing.B) {
	services := object{}
	for i := range 100 {
		services.add("s"+strconv.Itoa(i), object{
			{"image", text("registry.example/team/app:1.2.3")}, {"command", list{text("serve"), text("--port=80")}},
			{"environment", object{{"A", text("one two")}, {"B", text("8080")}, {"URL", text("http://other:80/x?y=1")}, {"EMPTY", text("")}}},
			{"ports", list{object{{"mode", text("ingress")}, {"target", integer(80)}, {"published", text(strconv.Itoa(8000 + i))}, {"protocol", text("tcp")}}}},
			{"networks", object{{"default", null{}}}}, {"restart", text("always")},
		})
	}
	v := object{{"name", text("demo")}, {"services", services}}
	for name, write := range map[string]func(*yaml.Node) (string, error){"emit": emit, "yaml.v3": encode} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := write(v.yaml()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
