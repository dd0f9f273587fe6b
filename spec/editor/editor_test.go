package editor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/diag"
	"github.com/stackrun/stack/spec/editor"
)

const shop = `name: shop
services:
  web:
    image: nginx:${TAG:-1}
    restart: no
    ports:
      - "80:80"
      - target: 90
        published: "9000"
    depends_on:
      db:
        condition: service_healthy
  db:
    image: postgres
    build: .
volumes:
  data:
networks:
  back:
    driver: bridge
`

// with puts what is typed where the mark ⁁ is, behind the line that holds after, and gives the place of the cursor.
func with(t *testing.T, after, typed string) (editor.Text, int, int) {
	t.Helper()
	before, behind, ok := strings.Cut(shop, after+"\n")
	if !ok {
		t.Fatalf("no line %q", after)
	}
	lines := strings.Split(strings.TrimSuffix(before+after, "\n"), "\n")
	line, column := len(lines), strings.Index(typed, "⁁")
	if column < 0 {
		t.Fatal("no mark")
	}
	column = len([]rune(typed[:column]))
	text := strings.Join(lines, "\n") + "\n" + strings.Replace(typed, "⁁", "", 1) + "\n" + behind
	return editor.NewText(text), line, column
}

func TestComplete(t *testing.T) {
	known := editor.Known{Names: map[string][]string{"services": {"worker"}, "profiles": {"debug", "debug"}}, Variables: map[string]string{"TAG": "1", "HOME": "/"}}
	for _, c := range []struct {
		after, typed string
		want         string // labels that must be there
		without      string // labels that must not
	}{
		{"name: shop", "⁁", "include models", "name services image"},
		{"name: shop", "inc⁁", "include", "models"},
		{"    image: postgres", "    ⁁", "command environment ports", "image build services target"},
		{"    image: postgres", "    he⁁", "healthcheck", "ports"},
		{"    image: postgres", "    restart: ⁁", "no always unless-stopped", "image web"},
		{"    image: postgres", "    tty: ⁁", "true false", "image"},
		{"    image: postgres", "    network_mode: ⁁", "host service:web service:worker", "service:db"},
		{"    image: postgres", "    healthcheck:\n⁁", "", ""},
		{"        published: \"9000\"", "        ⁁", "host_ip protocol mode", "target published image"},
		{"        published: \"9000\"", "        protocol: ⁁", "tcp udp", ""},
		{"        published: \"9000\"", "      - ⁁", "target published", "image"},
		{"    image: postgres", "    depends_on: [⁁", "web worker", "db"},
		{"    image: postgres", "    networks: [⁁", "back", "web"},
		{"    image: postgres", "    profiles: [⁁", "debug", "web"},
		{"        condition: service_healthy", "        ⁁", "required restart", "condition"},
		{"        condition: service_healthy", "      ⁁", "worker", "web condition"},
		{"    image: postgres", "    command: echo ${⁁", "TAG HOME", "image"},
		{"    image: postgres", "    command: echo $T⁁", "TAG", "HOME"},
		{"    image: postgres", "    command: echo $$T⁁", "", "TAG"},
		{"    image: postgres", "    # restart: ⁁", "", "always"},
		{"    driver: bridge", "    ⁁", "ipam internal", "driver image"},
		{"    image: postgres", "    volumes:\n      - ⁁", "", ""},
	} {
		t.Run(c.typed, func(t *testing.T) {
			last := c.typed[strings.LastIndex(c.typed, "\n")+1:]
			text, line, column := with(t, c.after, strings.ReplaceAll(c.typed, "⁁", "")+"⁁")
			if strings.Contains(c.typed, "\n") { // the cursor is on the last of several lines
				text, line, _ = with(t, c.after, "⁁"+strings.ReplaceAll(c.typed, "⁁", ""))
				line += strings.Count(c.typed, "\n")
				column = len([]rune(strings.Split(last, "⁁")[0]))
			}
			var labels []string
			for _, it := range editor.Complete(text, line, column, known) {
				labels = append(labels, it.Label)
				if it.Kind == editor.Key && it.Text == "" {
					t.Errorf("%s has no description", it.Label)
				}
			}
			for w := range strings.FieldsSeq(c.want) {
				if !slices.Contains(labels, w) {
					t.Errorf("%s is not offered: %v", w, labels)
				}
			}
			for w := range strings.FieldsSeq(c.without) {
				if slices.Contains(labels, w) {
					t.Errorf("%s is offered: %v", w, labels)
				}
			}
		})
	}
}

// TestElementsOffered: behind a dash come the names that the list is of.
func TestElementsOffered(t *testing.T) {
	text := editor.NewText("services:\n  web:\n    volumes:\n    - \n    secrets:\n      - \nvolumes:\n  data:\nsecrets:\n  key:\n")
	for line, want := range map[int]string{3: "data", 5: "key"} {
		column := len(text.Line(line))
		items := editor.Complete(text, line, column, editor.Known{})
		if !slices.ContainsFunc(items, func(it editor.Item) bool { return it.Label == want }) {
			t.Errorf("line %d: %s is not offered: %+v", line, want, items)
		}
	}
}

func TestAt(t *testing.T) {
	text := editor.NewText(shop)
	for _, c := range []struct {
		line, column   int
		path, variable string
		says           string
	}{
		{0, 1, "name", "", "name of the project"},
		{2, 3, "services.web", "", "containers that are made alike"},
		{3, 5, "services.web.image", "", "The image that containers are made from"},
		{3, 20, "", "TAG", ""},
		{6, 10, "services.web.ports[0]", "", "Ports that are published"},
		{7, 10, "services.web.ports[1].target", "", "port in the container"},
		{8, 10, "services.web.ports[1].published", "", "port of the host"},
		{10, 7, "services.web.depends_on.db", "", "waited for"},
		{11, 9, "services.web.depends_on.db.condition", "", "service_healthy"},
		{19, 5, "networks.back.driver", "", "driver"},
	} {
		s := editor.At(text, c.line, c.column)
		if s == nil {
			t.Errorf("%d:%d: nothing", c.line, c.column)
			continue
		}
		if string(s.Path) != c.path || s.Variable != c.variable || !strings.Contains(s.Describe(), c.says) {
			t.Errorf("%d:%d: %+v %q", c.line, c.column, s, s.Describe())
		}
	}
	for _, c := range []struct{ line, column int }{{2, 0}, {90, 0}} {
		if s := editor.At(text, c.line, c.column); s != nil {
			t.Errorf("%d:%d: %+v", c.line, c.column, s)
		}
	}
}

// What the author has named is told as what it is one of.
func TestAtOwnNames(t *testing.T) {
	text := editor.NewText("services:\n  web:\n    environment:\n      KEY: a\n      ÄÖ: b\n    labels:\n      - x=1\n    sysctls: {}\n    nonsense:\n      KEY: a\nvolumes:\n  v:\n    driver_opts:\n      type: nfs\n")
	for _, c := range []struct {
		line, column int
		path, says   string
	}{
		{3, 7, "services.web.environment.KEY", "**environment**"},
		{4, 7, "services.web.environment.ÄÖ", "**environment**"},
		{6, 9, "services.web.labels[0]", "**labels**"},
		{9, 7, "services.web.nonsense.KEY", ""},
		{13, 7, "volumes.v.driver_opts.type", "driver_opts**"},
	} {
		s := editor.At(text, c.line, c.column)
		if s == nil || string(s.Path) != c.path || !strings.Contains(s.Describe(), c.says) || c.says == "" && s.Describe() != "" {
			t.Errorf("%d:%d: %+v %q, expected %s and %q", c.line, c.column, s, s.Describe(), c.path, c.says)
		}
	}
}

func TestVariablesHideSecrets(t *testing.T) {
	env := map[string]string{"TAG": "2", "DB_PASSWORD": "s3cret"}
	from := map[string]diag.Pos{"TAG": {File: "/srv/.env", Line: 3}}
	for name, want := range map[string]string{"TAG": "`TAG` = `2`, from .env:3", "NONE": "`NONE`, which is not set", "DB_PASSWORD": "from the environment"} {
		if got := editor.DescribeVariable(name, env, from, "/srv"); !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// FuzzComplete: whatever is in a file and wherever the cursor is, there is an answer.
func FuzzComplete(f *testing.F) {
	f.Add(shop, 5, 4)
	f.Add("a:\n- - b: 1\n  - ", 2, 4)
	f.Add("services:\n  \"web\": {ports: [80", 1, 20)
	f.Fuzz(func(t *testing.T, s string, line, column int) {
		text := editor.NewText(s)
		column = max(column, 0)
		for _, it := range editor.Complete(text, line, column, editor.Known{Variables: map[string]string{"A": ""}}) {
			if it.From > column {
				t.Fatalf("%+v starts behind the cursor at %d", it, column)
			}
		}
		if s := editor.At(text, line, column); s != nil {
			s.Describe()
		}
	})
}
