package spec_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stackrun/stack/spec"
)

// TestIsolatedName: which name a project has by how it is named and how it is to be isolated.
func TestIsolatedName(t *testing.T) {
	hash := spec.Isolated("/p")
	if other := spec.Isolated("/q"); len(hash) != 8 || hash == other || hash != spec.Isolated("/p/") {
		t.Fatalf("/p has %q, /q %q, /p/ %q", hash, other, spec.Isolated("/p/"))
	}
	yes, no := true, false
	fsys := fstest.MapFS{
		"p/compose.yaml": {Data: []byte("services: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")},
		"p/named.yaml":   {Data: []byte("name: shop\nservices: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")},
		"p/again.yaml":   {Data: []byte("name: shop-" + hash + "\nservices: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")},
		"link/c.yaml":    {Data: []byte("services: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")},
		"dot/.env":       {Data: []byte("STACK_ISOLATED=1\nCOMPOSE_PROJECT_NAME=fromdot\n")},
		"dot/c.yaml":     {Data: []byte("name: ignored\nservices: {a: {image: x, labels: {n: $COMPOSE_PROJECT_NAME}}}")},
		"bad/.env":       {Data: []byte("X=1\nSTACK_ISOLATED=maybe\n")},
		"bad/c.yaml":     {Data: []byte("services: {a: {image: x}}")},
	}
	for _, c := range []struct {
		name     string
		r        spec.Request
		want     string // "" = a fault
		isolated bool
		fault    string
	}{
		{name: "not asked for", r: spec.Request{Cwd: "/p"}, want: "p"},
		{name: "directory", r: spec.Request{Cwd: "/p", Isolated: &yes}, want: "p-" + hash, isolated: true},
		{name: "by variable", r: spec.Request{Cwd: "/p", Process: map[string]string{"STACK_ISOLATED": "true"}}, want: "p-" + hash, isolated: true},
		{name: "the flag wins", r: spec.Request{Cwd: "/p", Isolated: &no, Process: map[string]string{"STACK_ISOLATED": "1"}}, want: "p"},
		{name: "variable off", r: spec.Request{Cwd: "/p", Process: map[string]string{"STACK_ISOLATED": "0"}}, want: "p"},
		{name: "name:", r: spec.Request{Cwd: "/p", Files: []string{"named.yaml"}, Isolated: &yes}, want: "shop-" + hash, isolated: true},
		{name: "what config printed", r: spec.Request{Cwd: "/p", Files: []string{"again.yaml"}, Isolated: &yes}, want: "shop-" + hash, isolated: true},
		{name: "COMPOSE_PROJECT_NAME", r: spec.Request{Cwd: "/p", Isolated: &yes, Process: map[string]string{"COMPOSE_PROJECT_NAME": "env"}}, want: "env-" + hash, isolated: true},
		{name: "COMPOSE_PROJECT_NAME of a program that was started so", r: spec.Request{Cwd: "/p", Isolated: &yes, Process: map[string]string{"COMPOSE_PROJECT_NAME": "env-" + hash}}, want: "env-" + hash, isolated: true},
		{name: ".env", r: spec.Request{Cwd: "/dot", Files: []string{"c.yaml"}}, want: "fromdot-" + spec.Isolated("/dot"), isolated: true},
		{name: "-p is the whole name", r: spec.Request{Cwd: "/p", Name: "mine", Process: map[string]string{"STACK_ISOLATED": "1"}}, want: "mine"},
		{name: "-p of this directory's", r: spec.Request{Cwd: "/p", Name: "p-" + hash, Process: map[string]string{"STACK_ISOLATED": "1"}}, want: "p-" + hash, isolated: true},
		{name: "-p and the flag", r: spec.Request{Cwd: "/p", Name: "mine", Isolated: &yes}, fault: `-p is the whole name of a project, "mine"`},
		{name: "a link is its directory", r: spec.Request{Cwd: "/link", Files: []string{"c.yaml"}, Isolated: &yes, RealPath: func(string) (string, error) { return "/p", nil }}, want: "link-" + hash, isolated: true},
		{name: "no such directory", r: spec.Request{Cwd: "/p", Isolated: &yes, RealPath: func(string) (string, error) { return "", errors.New("gone") }}, fault: "cannot be isolated: gone"},
		{name: "not a boolean", r: spec.Request{Cwd: "/bad", Files: []string{"c.yaml"}}, fault: "/bad/.env:2: invalid value: STACK_ISOLATED=maybe: expected 1 or 0"},
		{name: "without a file", r: spec.Request{Cwd: "/", Isolated: &yes, Process: map[string]string{"COMPOSE_PROJECT_NAME": "env"}}, fault: "no configuration file provided"},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc, list := spec.Locate(t.Context(), fsys, c.r)
			if c.fault != "" {
				if err := list.Err(); err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("fault %v, expected %q", err, c.fault)
				}
				return
			}
			p, more := spec.Load(t.Context(), loc.Input(fsys))
			if p == nil {
				t.Fatal(list.Err(), more.Err())
			}
			if got := p.Services["a"].Labels["n"]; p.Name != c.want || got != c.want || (p.Isolated != "") != c.isolated {
				t.Errorf("name %q, variable %q, isolated %q; expected %q, %v", p.Name, got, p.Isolated, c.want, c.isolated)
			}
		})
	}
	loc, _ := spec.Locate(t.Context(), fsys, spec.Request{Cwd: "/p", Isolated: &yes, Process: map[string]string{"COMPOSE_PROJECT_NAME": "env"}, Files: nil})
	if loc.Name != "env-"+hash {
		t.Errorf("who needs no file looks for %q", loc.Name)
	}
}

const shared = `
services:
  db:
    image: registry.test:5000/team/db
    build: db
    container_name: shop_db
    networks: {back: {aliases: [sql]}, out: }
  app:
    image: registry.test:5000/team/db:latest
    volumes_from: ["container:shop_db:ro", other, "container:theirs"]
    external_links: [shop_db, "shop_db:d", "theirs:t"]
    volumes: [data:/data, "mine:/mine", "kept:/kept"]
    pre_start: [{command: [x]}]
    networks: [back, out]
  other: {image: "app:1", build: {context: o}, networks: [back]}
  inside: {image: x, network_mode: "container:shop_db", pid: "container:theirs"}
  pinned: {image: "team/db@sha256:0000000000000000000000000000000000000000000000000000000000000000", networks: [back]}
networks:
  back: {name: shop_back}
  out: {name: outside, external: true}
volumes:
  data: {name: shop_data}
  mine:
  kept: {external: true}
`

// TestIsolatedNames: what the host has once, whichever project asks for it, has a name of the directory's own. What is external is meant to be shared.
func TestIsolatedNames(t *testing.T) {
	h := "-" + spec.Isolated("/p")
	in := spec.Input{FS: fstest.MapFS{"p/c.yaml": {Data: []byte(shared)}, "p/db/Dockerfile": {}, "p/o/Dockerfile": {}}, Files: []string{"/p/c.yaml"}, Dir: "/p", Name: "x" + h, Isolated: h[1:]}
	p, list := spec.Load(t.Context(), in)
	if p == nil {
		t.Fatal(list.Err())
	}
	db, app := p.Services["db"], p.Services["app"]
	got := map[string]string{
		"container": db.ContainerName, "back": p.Networks["back"].Name, "out": p.Networks["out"].Name, "data": p.Volumes["data"].Name, "mine": p.Volumes["mine"].Name, "kept": p.Volumes["kept"].Name,
		"built": db.Image, "made from it": app.Image, "before its start": app.PreStart[0].Image, "other": p.Services["other"].Image, "pinned": p.Services["pinned"].Image[:8],
		"aliases back": strings.Join(db.Networks["back"].Aliases, " "), "aliases out": strings.Join(db.Networks["out"].Aliases, " "),
		"network_mode": p.Services["inside"].NetworkMode, "pid": p.Services["inside"].PID,
		"volumes_from": strings.Join(app.VolumesFrom, " "), "external_links": strings.Join(app.ExternalLinks, " "),
	}
	want := map[string]string{
		"container": "shop_db" + h, "back": "shop_back" + h, "out": "outside", "data": "shop_data" + h, "mine": "x" + h + "_mine", "kept": "kept",
		"built": "registry.test:5000/team/db:latest" + h, "made from it": "registry.test:5000/team/db:latest" + h, "before its start": "registry.test:5000/team/db:latest" + h, "other": "app:1" + h, "pinned": "team/db@",
		"aliases back": "sql shop_db", "aliases out": "shop_db",
		"network_mode": "container:shop_db" + h, "pid": "container:theirs",
		"volumes_from": "container:shop_db" + h + ":ro other container:theirs", "external_links": "shop_db" + h + ":shop_db shop_db" + h + ":d theirs:t",
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Errorf("%s: %q, expected %q", k, got[k], want[k])
		}
	}
	in.Name, in.Isolated = "x", ""
	if p, list = spec.Load(t.Context(), in); p == nil || p.Services["db"].ContainerName != "shop_db" || p.Networks["back"].Name != "shop_back" || p.Services["other"].Image != "app:1" {
		t.Errorf("it changes what is not isolated: %v", list.Err())
	}
}
