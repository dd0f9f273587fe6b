package diag_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/diag"
)

func ExampleRender() {
	text := "services:\n  web:\n    prots: [\"80\"]\n"
	list := diag.List{{
		Code:    "unknown-key",
		Summary: "unknown key",
		Detail:  `"prots" in services.web`,
		Hint:    `did you mean "ports"?`,
		Subject: &diag.Range{Start: diag.Pos{File: "/srv/compose.yaml", Line: 3, Column: 5}, End: diag.Pos{File: "/srv/compose.yaml", Line: 3, Column: 10}},
	}}
	diag.Render(os.Stdout, list, diag.Style{Dir: "/srv", Sources: func(string) ([]byte, bool) { return []byte(text), true }})
	// Output:
	// compose.yaml:3:5: error: unknown key: "prots" in services.web
	//     3 |     prots: ["80"]
	//       |     ^~~~~
	//   hint: did you mean "ports"?
}

func TestRenderSurvivesOddPlaces(t *testing.T) {
	text := []byte("a: \x1b[31m\tx\n")
	sources := func(string) ([]byte, bool) { return text, true }
	for _, at := range []diag.Pos{{}, {File: "f"}, {File: "f", Line: 1}, {File: "f", Line: 1, Column: 99}, {File: "f", Line: 7, Column: 1}, {File: "f", Line: 1, Column: 5}} {
		var b strings.Builder
		list := diag.List{{Summary: "s", Subject: &diag.Range{Start: at}}}
		if err := diag.Render(&b, list, diag.Style{Sources: sources, Color: false}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%v: the file's escape sequence reaches the terminal: %q", at, b.String())
		}
	}
}

func TestSort(t *testing.T) {
	at := func(file string, line int) *diag.Range {
		return &diag.Range{Start: diag.Pos{File: file, Line: line}}
	}
	list := diag.List{{Summary: "c", Subject: at("b", 1)}, {Summary: "b", Subject: at("a", 2)}, {Summary: "a"}, {Summary: "d", Subject: at("a", 1)}}
	list.Sort()
	got := ""
	for _, d := range list {
		got += d.Summary
	}
	if got != "adbc" {
		t.Errorf("order %q, expected by file, line, summary", got)
	}
}

// Places are shortened, the paths of other things are not: somebody has to find them.
func TestRenderShortensPlacesOnly(t *testing.T) {
	list := diag.List{{Summary: "odd", Detail: "/srv/data is not there, unlike at /srv/a/b.yaml:3:5 and /etc/c.yaml:1"}}
	var b strings.Builder
	diag.Render(&b, list, diag.Style{Dir: "/srv"})
	if want := "error: odd: /srv/data is not there, unlike at a/b.yaml:3:5 and /etc/c.yaml:1\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// What looks secret in the line of a fault is hidden: logs of CI are read by many.
func TestRenderHidesSecrets(t *testing.T) {
	at := func(column, end int) *diag.Range {
		return &diag.Range{Start: diag.Pos{File: "f", Line: 1, Column: column}, End: diag.Pos{File: "f", Line: 1, Column: end}}
	}
	sources := func(string) ([]byte, bool) { return []byte("  DB_PASSWORD: pa$word\n"), true }
	for at, caret := range map[*diag.Range]string{at(3, 14): "  ^~~~~~~~~~~\n", at(16, 23): strings.Repeat(" ", 15) + "^\n", at(18, 0): ""} {
		var b strings.Builder
		diag.Render(&b, diag.List{{Summary: "odd", Subject: at}}, diag.Style{Sources: sources})
		want := "    1 |   DB_PASSWORD: (hidden)\n"
		if caret != "" {
			want += "      | " + caret
		}
		if !strings.HasSuffix(b.String(), want) {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
	}
}
