package images_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
)

func TestImages(t *testing.T) {
	id := func(c string) string { return "sha256:" + strings.Repeat(c, 64) }
	all := []ask.ContainerImage{
		{Container: "shop-db-1", Service: "db", Ref: "registry.test:5000/a/postgres:15", Repository: "registry.test:5000/a/postgres", Tag: "15", ID: id("b"), Platform: "linux/amd64", Size: 432_100_000, Created: time.Now().Add(-50 * time.Hour)},
		{Container: "shop-web-1", Service: "web", Ref: "nginx", Repository: "nginx", Tag: "latest", ID: id("a"), Platform: "linux/arm64/v8", Size: 142_000_000, PulledAt: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)},
		{Container: "shop-web-2", Service: "web", Ref: "nginx@" + id("c"), Repository: "nginx", ID: id("a")}, // an image that is gone
	}
	u := stacktest.NewPerson(t, &apitest.Engine{OnImages: func(context.Context, string) ([]ask.ContainerImage, error) { return all, nil }})
	code, out, errs := u.Run("images")
	want := `CONTAINER REPOSITORY TAG PLATFORM IMAGE ID SIZE CREATED
shop-db-1 registry.test:5000/a/postgres 15 linux/amd64 bbbbbbbbbbbb 432MB 2 days ago
shop-web-1 nginx latest linux/arm64/v8 aaaaaaaaaaaa 142MB N/A
shop-web-2 nginx <none> N/A aaaaaaaaaaaa 0B N/A`
	if code != 0 || stacktest.Squeezed(out) != stacktest.Squeezed(want) {
		t.Errorf("code %d, got\n%s%s", code, out, errs)
	}
	if _, out, _ := u.Run("images -q"); out != strings.Repeat("b", 64)+"\n"+strings.Repeat("a", 64)+"\n" {
		t.Errorf("-q: %q", out)
	}
	if code, out, _ := u.Run("images --format="); code != 0 || !strings.HasPrefix(out, "CONTAINER") { // as docker compose
		t.Errorf("no format: code %d, %q", code, out)
	}
	if _, out, _ := u.Run("images -q web"); out != strings.Repeat("a", 64)+"\n" {
		t.Errorf("-q web: %q", out)
	}
	_, out, _ = u.Run("images --format json web")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	if r := rows[0]; r["ID"] != id("a") || r["ContainerName"] != "shop-web-1" || r["Repository"] != "nginx" || r["Tag"] != "latest" || r["Platform"] != "linux/arm64/v8" ||
		r["Size"] != 142e6 || r["LastTagTime"] != "2026-01-02T12:00:00Z" || r["Created"] != nil {
		t.Errorf("json: %v", r)
	}
	all = nil
	if _, out, _ := u.Run("images --format json"); out != "[]\n" {
		t.Errorf("none: %q", out)
	}
}

// TestLoadTakesOneArchive: an archive that does not stand behind --input is no command, and it is said what is to be typed.
func TestLoadTakesOneArchive(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Tells(map[string]stacktest.Ending{
		"load --input a.tar b.tar": {Code: 1, Want: "`stack load` reads one archive at a time: give \"b.tar\" to another one"},
		"load a.tar":               {Code: 1, Want: "`stack load --input a.tar`"},
	})
}
