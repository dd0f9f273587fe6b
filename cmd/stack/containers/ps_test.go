package containers

import (
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func fleet() []ask.Container {
	return []ask.Container{
		{
			ID: "aaa", Name: "shop-web-2", Project: "shop", Service: "web", Replica: 2, Image: "nginx:1.22", State: "running", Health: "starting",
			Command: []string{"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"}, CreatedAt: noon.Add(-3 * time.Minute), StartedAt: noon.Add(-time.Minute),
			Ports: []ask.Publisher{{URL: "0.0.0.0", TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}, {URL: "::", TargetPort: 80, PublishedPort: 8080, Protocol: "tcp"}},
		},
		{ID: "bbb", Name: "shop-db-1", Project: "shop", Service: "db", Replica: 1, Image: "postgres:15", State: "exited",
			CreatedAt: noon.Add(-50 * time.Hour), Exit: &process.Exit{Code: 137, OOM: true, FinishedAt: noon.Add(-30 * time.Second)}},
		{ID: "ccc", Name: "shop-web-1", Project: "shop", Service: "web", Replica: 1, Image: "nginx:1.22", State: "running", Health: "healthy",
			Command: []string{"nginx"}, CreatedAt: noon.Add(-2 * time.Hour), StartedAt: noon.Add(-2 * time.Hour), Labels: map[string]string{"b": "2", "a": "1"}},
		{ID: "ddd", Name: "shop-old-1", Project: "shop", Service: "old", Replica: 1, State: "running", Orphan: true, StartedAt: noon, CreatedAt: noon},
	}
}

func TestPsTable(t *testing.T) {
	var rows []psRow
	p := psFlags{all: true, orphans: true}
	for _, c := range p.choose(fleet(), nil) {
		rows = append(rows, newPsRow(c, noon, false, false))
	}
	var b strings.Builder
	if err := writePs(&b, "table", rows, 0); err != nil {
		t.Fatal(err)
	}
	want := `
NAME         IMAGE         COMMAND                  SERVICE   CREATED                    STATUS                                       PORTS
shop-db-1    postgres:15   ""                       db        2 days ago                 Exited (137) 30 seconds ago (out of memory)  
shop-old-1                 ""                       old       Less than a second ago     Up Less than a second                        
shop-web-1   nginx:1.22    "nginx"                  web       2 hours ago                Up 2 hours (healthy)                         
shop-web-2   nginx:1.22    "/docker-entrypoint.…"   web       3 minutes ago              Up About a minute (health: starting)         0.0.0.0:8080->80/tcp, [::]:8080->80/tcp
`
	if strings.Join(strings.Fields(b.String()), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s", b.String())
	}
}

// A narrow terminal gets fewer columns and no broken lines; what is asked for most stays.
func TestPsFitsTheTerminal(t *testing.T) {
	var rows []psRow
	for _, c := range (&psFlags{all: true, orphans: true}).choose(fleet(), nil) {
		c.Ports = nil
		rows = append(rows, newPsRow(c, noon, false, false))
	}
	for cols, want := range map[int]string{
		0:   "NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS",
		300: "NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS",
		115: "NAME IMAGE SERVICE CREATED STATUS PORTS",
		90:  "NAME IMAGE SERVICE STATUS PORTS",
		78:  "NAME SERVICE STATUS PORTS",
		70:  "NAME STATUS PORTS",
	} {
		text := psTable(rows, cols)
		head, _, _ := strings.Cut(text, "\n")
		if got := strings.Join(strings.Fields(head), " "); got != want {
			t.Errorf("%d columns: %s, want %s", cols, got, want)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); strings.HasSuffix(line, " ") || cols > 0 && len([]rune(line)) > cols {
				t.Errorf("%d columns: %q", cols, line)
			}
		}
	}
}

func TestPsShortens(t *testing.T) {
	c := ask.Container{ID: strings.Repeat("ab", 32), Command: []string{"sh -x", "-c", "echo 'a' b", "c"}}
	for _, tt := range []struct {
		fullCommand, fullID bool
		command, id         string
	}{
		{false, false, `"sh -x -c 'echo 'a' …"`, "abababababab"},
		{true, false, `"sh -x -c 'echo 'a' b' c"`, "abababababab"}, // json
		{true, true, `"sh -x -c 'echo 'a' b' c"`, c.ID},            // --no-trunc
	} {
		if r := newPsRow(c, noon, tt.fullCommand, tt.fullID); r.Command != tt.command || r.ID != tt.id {
			t.Errorf("%v %v: command %s, id %s", tt.fullCommand, tt.fullID, r.Command, r.ID)
		}
	}
}

func TestPsTemplates(t *testing.T) {
	row := newPsRow(fleet()[2], noon, false, false)
	for format, want := range map[string]string{
		`{{title .State}} {{upper .Name}}`:               "Running SHOP-WEB-1\n",
		`{{.Label "a"}}{{.Label "none"}}`:                "1\n",
		`[{{pad .State 1 2}}] {{truncate .Name 4}}`:      "[ running  ] shop\n",
		`{{json .Names}} {{index (split .Image ":") 1}}`: `"shop-web-1" 1.22` + "\n",
		`table {{.ID}}\t{{.RunningFor}}`:                 "CONTAINER ID   CREATED\nccc            2 hours ago\n",
	} {
		var b strings.Builder
		if err := writePs(&b, format, []psRow{row}, 0); err != nil || b.String() != want {
			t.Errorf("%s: %v, %q", format, err, b.String())
		}
	}
}

func TestPortsAreJoined(t *testing.T) {
	p := func(url string, target, published int, proto string) ask.Publisher {
		return ask.Publisher{URL: url, TargetPort: target, PublishedPort: published, Protocol: proto}
	}
	for _, tt := range []struct {
		list []ask.Publisher
		want string
	}{
		{nil, ""},
		{[]ask.Publisher{p("", 80, 0, "tcp")}, "80/tcp"},
		{[]ask.Publisher{p("127.0.0.1", 81, 8001, "tcp"), p("127.0.0.1", 80, 8000, "tcp")}, "127.0.0.1:8000-8001->80-81/tcp"},
		{[]ask.Publisher{p("0.0.0.0", 53, 53, "udp"), p("0.0.0.0", 53, 53, "tcp")}, "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp"},
		{[]ask.Publisher{p("0.0.0.0", 80, 8000, "tcp"), p("0.0.0.0", 90, 8001, "tcp")}, "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->90/tcp"},
	} {
		if got := ports(tt.list); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
