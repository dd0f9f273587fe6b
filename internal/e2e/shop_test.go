package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/sandbox"
)

// copyExample is a project with the files of examples/<name>, as a user has them in a checkout.
func copyExample(t *testing.T, h *host, name string) *project {
	t.Helper()
	p := newProject(t, h, name, nil)
	if err := os.CopyFS(p.dir, os.DirFS(filepath.Join(root(t), "examples", name))); err != nil {
		t.Fatal(err)
	}
	if name == "shop" {
		p.write("compose.override.yaml", patientShop)
	}
	return p
}

// patientShop: how long servers may take is the example's own word, and about a machine that has nothing else to do.
const patientShop = `
services:
  db: {healthcheck: {start_period: 10m, timeout: 1m}}
  api:
    healthcheck:
      test: [CMD, python, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=50)"]
      start_period: 10m
      timeout: 1m
`

const shopURL = "http://127.0.0.1:8080"

// shopProduct is what the shop's API answers.
type shopProduct struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Price int    `json:"price"`
	Slug  string `json:"slug"`
}

func addProduct(t *testing.T, name string, price int) shopProduct {
	t.Helper()
	body := fmt.Sprintf(`{"name": %q, "price": %d}`, name, price)
	resp, err := http.Post(shopURL+"/products", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("POST /products: %s: %s", resp.Status, b)
	}
	var p shopProduct
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatalf("POST /products: %v: %s", err, b)
	}
	return p
}

func getProduct(t *testing.T, id int) (p shopProduct, cache string) {
	t.Helper()
	code, body, header, err := get(fmt.Sprintf("%s/products/%d", shopURL, id))
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET /products/%d: %d, %v: %s", id, code, err, body)
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("GET /products/%d: %v: %s", id, err, body)
	}
	return p, header.Get("X-Cache")
}

// waitForShop waits until web and api answer: web has no health check, so that --wait ends when nginx runs, a
// moment before it listens.
func waitForShop(p *project) {
	p.t.Helper()
	p.eventually("the shop answers", func() bool {
		code, _, _, err := get(shopURL + "/products")
		return err == nil && code == http.StatusOK
	})
}

// TestShop is the real application of examples/shop, up and down, talked to as its clients do.
func TestShop(t *testing.T) {
	h := theHost(t)
	p := copyExample(t, h, "shop")
	before, err := sandbox.Take(h.objects()...)
	if err != nil {
		t.Fatal(err)
	}

	p.ok("pull", "--quiet")
	start := time.Now()
	p.up()
	t.Logf("up, images there: %s", time.Since(start).Round(time.Millisecond))
	waitForShop(p)

	want := map[string]string{
		"shop-db-1": "running healthy", "shop-cache-1": "running ", "shop-migrate-1": "exited ",
		"shop-api-1": "running healthy", "shop-api-2": "running healthy", "shop-worker-1": "running ", "shop-web-1": "running ",
	}
	containers := p.ps()
	for name, state := range want {
		c := containers[name]
		equal(t, name, c.State+" "+c.Health, state)
		equal(t, name+" exit code", fmt.Sprint(c.ExitCode), "0")
	}
	if len(containers) != len(want) {
		t.Errorf("ps --all lists %d containers, want %d: %v", len(containers), len(want), containers)
	}

	t.Run("HTTP through web and api into PostgreSQL, and back through Redis", func(t *testing.T) {
		added := addProduct(t, "Blue Pot", 1200)
		var got shopProduct
		p.eventually("the worker gives the product its slug", func() bool {
			got, _ = getProduct(t, added.ID)
			return got.Slug != ""
		})
		if want := (shopProduct{added.ID, "Blue Pot", 1200, "blue-pot"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		p.eventually("a second read comes from the cache", func() bool {
			_, cache := getProduct(t, added.ID)
			return cache == "hit"
		})

		sql := "SELECT name || '|' || price || '|' || slug FROM products"
		equal(t, "psql", p.ok("exec", "-T", "db", "psql", "-U", "shop", "-At", "-c", sql), "Blue Pot|1200|blue-pot\n")
		contains(t, "redis-cli", p.ok("exec", "-T", "cache", "redis-cli", "GET", fmt.Sprintf("product:%d", added.ID)), `"Blue Pot"`)
		equal(t, "redis-cli keys", p.ok("exec", "-T", "cache", "redis-cli", "KEYS", "product:*"), fmt.Sprintf("product:%d\n", added.ID))
	})

	t.Run("a second up changes nothing", func(t *testing.T) {
		ids := idsOf(p.ps())
		start := time.Now()
		p.up()
		t.Logf("up, nothing to do: %s", time.Since(start).Round(time.Millisecond))
		equal(t, "containers", idsOf(p.ps()), ids)
	})

	t.Run("a restart keeps the data", func(t *testing.T) {
		p.ok("restart", "db", "api")
		waitForShop(p)
		p.ok("down")
		if n := len(p.ps()); n != 0 {
			t.Errorf("after down there are %d containers", n)
		}
		if _, err := os.Stat(h.state("volumes", "shop_db-data")); err != nil {
			t.Errorf("down took the named volume: %v", err)
		}
		p.up()
		waitForShop(p)
		if _, body, _, _ := get(shopURL + "/products"); !strings.Contains(body, "Blue Pot") {
			t.Errorf("after down and up the product is gone: %s", body)
		}
	})

	t.Run("four replicas share the requests", func(t *testing.T) {
		p.up("--scale", "api=4")
		served := map[string]bool{}
		p.eventually("each of four replicas has served a request", func() bool {
			_, _, header, err := get(shopURL + "/products")
			if err == nil {
				served[header.Get("X-Served-By")] = true
			}
			return len(served) == 4
		})
		equal(t, "web's container", p.one("shop-web-1").State, "running")
	})

	t.Run("isolation as the file says", func(t *testing.T) {
		for line, why := range map[string]string{
			"touch /x":                 "read_only",
			"getent hosts db":          "db is on back only",
			"getent hosts example.com": "there is no way out",
		} {
			if r := p.run("exec", "-T", "web", "sh", "-c", line); r.code == 0 {
				t.Errorf("%s (%s) succeeded: %s", line, why, r)
			}
		}
		equal(t, "effective capabilities of api", p.sh("api", "grep CapEff /proc/1/status"), "CapEff:\t0000000000000000")
		equal(t, "the worker's secret", p.sh("worker", "stat -c '%a %u %g' /run/secrets/db_password"), "400 1000 1000")
		if r := p.run("exec", "-T", "api", "sh", "-c", "cat /proc/self/environ"); strings.Contains(r.stdout, "horse battery") {
			t.Error("the secret is in the environment of api")
		}
	})

	start = time.Now()
	p.ok("down", "--volumes")
	t.Logf("down: %s", time.Since(start).Round(time.Millisecond))
	sandbox.Same(t, before, h.objects()...)
}

// idsOf is name=id of every container, sorted.
func idsOf(cs map[string]container) string {
	var out []string
	for name, c := range cs {
		out = append(out, name+"="+c.ID)
	}
	return sorted(out)
}

// TestExampleScripts runs the scripts that the examples' READMEs name.
func TestExampleScripts(t *testing.T) {
	h := theHost(t)
	t.Run("shop", func(t *testing.T) {
		p := copyExample(t, h, "shop")
		runScript(t, p, "./test.sh", "shop: ok")
	})
	t.Run("pages", func(t *testing.T) {
		p := copyExample(t, h, "pages")
		runScript(t, p, "./test.sh", "pages: ok")
	})
	t.Run("watch", func(t *testing.T) {
		p := copyExample(t, h, "watch")
		runScript(t, p, "./test.sh", "watch: ok")
	})
	t.Run("hello", func(t *testing.T) {
		sandbox.LeavesNothing(t, h.objects()...)
		p := &project{t: t, host: h, dir: filepath.Join(root(t), "examples", "hello")}
		runScript(t, p, "./demo.sh", "demo: ok")
	})
}
