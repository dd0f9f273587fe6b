package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile/ask"
)

// squeezed is text with one space where there are several.
func squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestImages(t *testing.T) {
	id := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	all := []ask.ContainerImage{
		{Container: "shop-db-1", Service: "db", Ref: "registry.test:5000/a/postgres:15", Repository: "registry.test:5000/a/postgres", Tag: "15", ID: id("b"), Platform: "linux/amd64", Size: 432_100_000, Created: time.Now().Add(-50 * time.Hour)},
		{Container: "shop-web-1", Service: "web", Ref: "nginx", Repository: "nginx", Tag: "latest", ID: id("a"), Platform: "linux/arm64/v8", Size: 142_000_000, PulledAt: noon},
		{Container: "shop-web-2", Service: "web", Ref: "nginx@" + id("c"), Repository: "nginx", ID: id("a")}, // an image that is gone
	}
	u := newPerson(t, &apitest.Engine{OnImages: func(context.Context, string) ([]ask.ContainerImage, error) { return all, nil }})
	code, out, errs := u.run("images")
	want := `CONTAINER REPOSITORY TAG PLATFORM IMAGE ID SIZE CREATED
shop-db-1 registry.test:5000/a/postgres 15 linux/amd64 bbbbbbbbbbbb 432MB 2 days ago
shop-web-1 nginx latest linux/arm64/v8 aaaaaaaaaaaa 142MB N/A
shop-web-2 nginx <none> N/A aaaaaaaaaaaa 0B N/A`
	if code != 0 || squeezed(out) != squeezed(want) {
		t.Errorf("code %d, got\n%s%s", code, out, errs)
	}
	if _, out, _ := u.run("images -q"); out != strings.Repeat("b", 64)+"\n"+strings.Repeat("a", 64)+"\n" {
		t.Errorf("-q: %q", out)
	}
	if code, out, _ := u.run("images --format="); code != 0 || !strings.HasPrefix(out, "CONTAINER") { // as docker compose
		t.Errorf("no format: code %d, %q", code, out)
	}
	if _, out, _ := u.run("images -q web"); out != strings.Repeat("a", 64)+"\n" {
		t.Errorf("-q web: %q", out)
	}
	_, out, _ = u.run("images --format json web")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	if r := rows[0]; r["ID"] != id("a") || r["ContainerName"] != "shop-web-1" || r["Repository"] != "nginx" || r["Tag"] != "latest" || r["Platform"] != "linux/arm64/v8" ||
		r["Size"] != 142e6 || r["LastTagTime"] != "2026-01-02T12:00:00Z" || r["Created"] != nil {
		t.Errorf("json: %v", r)
	}
	all = nil
	if _, out, _ := u.run("images --format json"); out != "[]\n" {
		t.Errorf("none: %q", out)
	}
}

func TestVolumes(t *testing.T) {
	u := newPerson(t, &apitest.Engine{OnVolumes: func(context.Context, string) ([]ask.Volume, error) {
		return []ask.Volume{
			{Name: "0123", Driver: "local", Path: "/v/0123/_data", Services: []string{"web"}, Anonymous: true},
			{Name: "shop_data", Driver: "local", Path: "/v/shop_data/_data", Services: []string{"db"}, Labels: map[string]string{"b": "2", "a": "1"}},
			{Name: "shop_spare", Driver: "local", Services: []string{}},
		}, nil
	}})
	for line, want := range map[string]string{
		"volumes":       "DRIVER VOLUME NAME local 0123 local shop_data local shop_spare",
		"volumes db":    "DRIVER VOLUME NAME local shop_data",
		"volumes -q":    "0123 shop_data shop_spare",
		"volumes -q db": "shop_data",
		"volumes --format {{.Name}}={{.Mountpoint}} db": "shop_data=/v/shop_data/_data",
		"volumes --format json db": `{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"a=1,b=2","Links":"N/A","Mountpoint":"/v/shop_data/_data",` +
			`"Name":"shop_data","Scope":"local","Size":"N/A","Status":"N/A"}`,
	} {
		code, out, errs := u.run(line)
		if code != 0 || squeezed(out) != want {
			t.Errorf("stack %s: code %d, got %q, want %q; %s", line, code, squeezed(out), want, errs)
		}
	}
	if _, out, _ := u.args("volumes", "--format", `table {{.Name}}\t{{.Scope}}\t{{.Label "a"}}`, "db"); squeezed(out) != "VOLUME NAME SCOPE a shop_data local 1" {
		t.Errorf("table: %q", out)
	}
	if code, _, errs := u.run("volumes --format {{.Nonsense}}"); code != 1 || !strings.Contains(errs, "invalid --format") {
		t.Errorf("a key that there is not: %d, %s", code, errs)
	}
}
