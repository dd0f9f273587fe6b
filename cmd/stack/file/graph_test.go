package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

const graphed = `name: shop
services:
  web:
    image: 'nginx:1'
    depends_on: {api: {condition: service_healthy, restart: true}, cache: {condition: service_started, required: false}}
    ports: ["8080:80", "127.0.0.1:9000-9009:90", "[::1]::53/udp"]
    networks: [front]
  api: {image: api, depends_on: {migrate: {condition: service_completed_successfully}}, networks: [front, "end"], volumes: ["data:/data", /x]}
  migrate: {build: ., network_mode: "service:db"}
  db: {image: db, networks: ["end"]}
  cache: {image: cache, networks: ["end"]}
  tool: {image: tool, profiles: [tools]}
networks: {front: , "end": }
volumes: {data: }
`

func TestGraph(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", graphed)
	const head = "digraph \"shop\" {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n"
	for line, want := range map[string]string{
		"graph api": head + `  "api" [label="api", shape=box];
  "db" [label="db", shape=box];
  "migrate" [label="migrate", shape=box];
  "api" -> "migrate" [label="completed"];
  "migrate" -> "db" [label="restart"];
}
`,
		"graph --networks --volumes --image api": head + `  "api" [label="api\napi", shape=box];
  "db" [label="db\ndb", shape=box];
  "migrate" [label="migrate\nshop-migrate", shape=box];
  "network end" [label="end", shape=hexagon];
  "network front" [label="front", shape=hexagon];
  "volume data" [label="data", shape=cylinder];
  "api" -> "migrate" [label="completed"];
  "api" -> "network end" [label="", arrowhead=none, style=dashed];
  "api" -> "network front" [label="", arrowhead=none, style=dashed];
  "api" -> "volume data" [label="/data", arrowhead=none, style=dashed];
  "db" -> "network end" [label="", arrowhead=none, style=dashed];
  "migrate" -> "db" [label="restart"];
}
`,
		"graph --format mermaid --ports --volumes": `flowchart LR
  n0["api"]
  n1["cache"]
  n2["db"]
  n3["migrate"]
  n4["web<br>8080:80/tcp<br>127.0.0.1:9000-9009:90/tcp<br>[::1]::53/udp"]
  n5[("data")]
  n0 -->|"completed"| n3
  n0 ---|"/data"| n5
  n3 -->|"restart"| n2
  n4 -->|"healthy, restart"| n0
  n4 -.-> n1
`,
	} {
		if code, out, errs := u.Run(line); code != 0 || out != want {
			t.Errorf("stack %s: code %d, %s\n%s\nexpected\n%s", line, code, errs, out, want)
		}
	}
	if code, _, errs := u.Run("graph --format svg"); code != 1 || !strings.Contains(errs, `"svg", expected dot or mermaid`) {
		t.Errorf("another format: %d, %s", code, errs)
	}
	if code, _, errs := u.Run("graph nobody"); code != 1 || !strings.Contains(errs, "no such service: nobody") {
		t.Errorf("another service: %d, %s", code, errs)
	}
	file := filepath.Join(u.Dir, "out.dot")
	if code, out, errs := u.Run("graph -o " + file); code != 0 || out != "" {
		t.Errorf("to a file: %d, %q, %s", code, out, errs)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"web" -> "cache" [label="", style=dotted];`) {
		t.Errorf("in the file is %s (%v)", b, err)
	}
}

// TestGraphQuotes: what a file may have in its texts ends no string of either language.
func TestGraphQuotes(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "name: x\nservices: {a: {image: b, volumes: ['data:/\"#<\\']}}\nvolumes: {data: }\n")
	for format, want := range map[string]string{"dot": `[label="/\"#<\\"`, "mermaid": `|"/#quot;#35;#lt;\"|`} {
		if code, out, errs := u.Run("graph --volumes --format " + format); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d, %s, expected %s in\n%s", format, code, errs, want, out)
		}
	}
}
