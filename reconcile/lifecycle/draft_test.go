package lifecycle

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/spec"
)

// TestLogPath: a replica has one log whichever container it is, and no two that run at once write to one file.
func TestLogPath(t *testing.T) {
	k := &Keeper{roots: roots.Roots{State: "/s"}}
	logging := func(path string) *inventory.Container {
		c := &inventory.Container{}
		c.Config = &runtime.Config{Log: runtime.LogConfig{Path: path}}
		return c
	}
	web := &plan.Service{Name: "web"}
	const replica, beside = "/s/logs/shop/web-2.log", "/s/logs/shop/web-2.b.log"
	for _, c := range []struct {
		name string
		d    Draft
		want string
	}{
		{"a replica", Draft{Service: web, Number: 2}, replica},
		{"in the place of one that is still there", Draft{Service: web, Number: 2, Succeeds: logging(replica)}, beside},
		{"in the place of that one", Draft{Service: web, Number: 2, Succeeds: logging(beside)}, replica},
		{"in the place of one without a log", Draft{Service: web, Number: 2, Succeeds: &inventory.Container{}}, replica},
		{"a one-off", Draft{Service: web, Number: 1, OneOff: true, Slug: "0123456789abcdef0123456789abcdef"}, "/s/logs/shop/web-run-0123456789ab.log"},
		{"a step, whose log is its container's matter", Draft{Service: web, OneOff: true, step: &inventory.StepOf{Of: "x"}, log: "/s/logs/shop/web-2.pre_start.0.log"}, "/s/logs/shop/web-2.pre_start.0.log"},
		{"of no file", Draft{Service: &plan.Service{}, Alone: &standalone.Traits{}}, "/s/containers/id/output.log"},
	} {
		if got := k.logPath("shop", "id", c.d); got != c.want {
			t.Errorf("%s: %s, expected %s", c.name, got, c.want)
		}
	}
}

// TestUnder: what the file mounts at a target is there, and not what a vendor or an image would have there. Mounts are in the order in which they are made: what is above comes first.
func TestUnder(t *testing.T) {
	at := func(source string, targets ...string) (all []mount.Mount) {
		for _, target := range targets {
			all = append(all, mount.Mount{Source: source, Target: target})
		}
		return all
	}
	for _, c := range []struct{ file, vendors, want []mount.Mount }{
		{nil, at("v", "/b", "/a"), at("v", "/a", "/b")},
		{at("f", "/dev/x"), at("v", "/dev/x"), at("f", "/dev/x")},
		{at("f", "/a/b"), at("v", "/a"), append(at("v", "/a"), at("f", "/a/b")...)},
	} {
		if got := under(slices.Clone(c.file), c.vendors); !slices.EqualFunc(got, c.want, func(a, b mount.Mount) bool { return a.Source == b.Source && a.Target == b.Target }) {
			t.Errorf("%+v below %+v: %+v, expected %+v", c.vendors, c.file, got, c.want)
		}
	}
}

// TestContents: configs and secrets are what came with the project, or what their file has now.
func TestContents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	d := Draft{File: &spec.Project{
		Configs: map[string]*spec.FileObject{"settings": {Content: []byte("a = 1")}},
		Secrets: map[string]*spec.FileObject{"token": {File: path}},
	}}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := d.contents("secrets", plan.File{Source: "token"}); err != nil || string(got) != text {
			t.Errorf("a secret: %q, %v", got, err)
		}
	}
	if got, err := d.contents("configs", plan.File{Source: "settings"}); err != nil || string(got) != "a = 1" {
		t.Errorf("a config: %q, %v", got, err)
	}
	for _, kind := range []string{"configs", "secrets"} {
		if _, err := d.contents(kind, plan.File{Source: "other"}); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s that the file has not: %v", kind, err)
		}
	}
}

// TestAbsentSources: of a bind whose source is to be made that is each directory which is not there; of others nothing is.
func TestAbsentSources(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	bind := func(source string, create bool) plan.Mount {
		return plan.Mount{Type: "bind", Source: filepath.Join(dir, source), CreateHostPath: create}
	}
	got := AbsentSources([]plan.Mount{
		bind("a/b/", true), bind("c", false), bind("dangling", true), bind(".", true), {Type: "volume", Source: "v", CreateHostPath: true},
	})
	if want := []string{filepath.Join(dir, "a/b"), filepath.Join(dir, "a")}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}
