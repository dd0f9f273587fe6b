package dotenv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/dotenv"
)

func lookup(name string) (string, bool) {
	v, ok := map[string]string{"HOST": "h", "BOTH": "env"}[name]
	return v, ok
}

func show(entries []dotenv.Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s=%q", e.Key, e.Value))
	}
	return strings.Join(out, " ")
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"A=1\nB: 2\nexport C=3\r\nD = 4 \n":             `A="1" B="2" C="3" D="4"`,
		"\ufeffA=1":                                     `A="1"`,
		"\n  # comment\n\nA=1 # c\nB=1#c\nC= # c\nD=\n": `A="1" B="1#c" C="" D=""`,
		"A=#f00\nB=\t#c\nC=## c # d":                    `A="#f00" B="" C="## c"`,
		"größe=1\nn²=2":                                 `größe="1" n²="2"`,
		"HOST\nNONE\nA=1":                               `HOST="h" A="1"`,
		`A="a\nb\t\"q\" \\ \$HOST $HOST"`:               `A="a\nb\t\"q\" \\ $HOST h"`,
		`A='a\n $HOST \' x'`:                            `A="a\\n $HOST ' x"`,
		"A=\"two\nlines\"\nB='two\nlines'\nC=3":         `A="two\nlines" B="two\nlines" C="3"`,
		`C="y" D=2`:                                     `C="y" D="2"`,
		"A=1\nB=${A}2$A\nBOTH=x\nC=$BOTH":               `A="1" B="121" BOTH="x" C="env"`,
		"A=${N:-d} \nB=${N-}":                           `A="d" B=""`,
		"A.b-c[0]_=1":                                   `A.b-c[0]_="1"`,
		"A=a=b:c":                                       `A="a=b:c"`,
		`A="\101\0101 \x"`:                              `A="\\101A \\x"`,
		"A=$$x":                                         `A="$x"`,
	} {
		entries, _, err := dotenv.Parse(in, lookup)
		if len(err) > 0 || show(entries) != want {
			t.Errorf("Parse(%q) = %s, %v; expected %s", in, show(entries), err, want)
		}
	}
}

func TestParseFaults(t *testing.T) {
	for in, want := range map[string]string{
		"A=1\nB C=2":      `line 2: unexpected character ' ' in variable name "B C"`,
		"=x":              "line 1: expected a variable name",
		"A=1\n\nB=\"x\ny": `line 3: the value of B has no closing "`,
		"A='x":            "line 1: the value of A has no closing '",
		"A=1\nB=${A":      "line 2: ${ has no closing }",
		"A=${N:?say so}":  "line 1: required variable N is missing a value: say so",
		// Every fault is told, and reading goes on behind each.
		"B C=2\nA=1\n=x\nD=${\nE": "line 1: unexpected character ' ' in variable name \"B C\"\nline 3: expected a variable name\nline 4: ${ has no closing }",
		// What may be in a value that is not closed is no fault of its own.
		"K=\"-----BEGIN KEY-----\nMIIE/+ab==\n-----END KEY-----\nA=1\nB C=1": "line 1: the value of K has no closing \"\nline 5: unexpected character ' ' in variable name \"B C\"",
		"A=\"x\" trailing": "", // a new statement: a name that is not set
	} {
		_, _, faults := dotenv.Parse(in, lookup)
		got := ""
		for _, f := range faults {
			got += f.Error() + "\n"
		}
		got = strings.TrimSuffix(got, "\n")
		if got != want {
			t.Errorf("Parse(%q): %q, expected %q", in, got, want)
		}
	}
	_, warnings, _ := dotenv.Parse("A=1\nB=$N", lookup)
	if len(warnings) != 1 || warnings[0] != (dotenv.Warning{Line: 2, Column: 3, Name: "N"}) {
		t.Errorf("warnings %v", warnings)
	}
}

// TestManyFaults: a file that is something else is not read to its end.
func TestManyFaults(t *testing.T) {
	for name, parse := range map[string]func(string) []*dotenv.Error{
		"Parse":    func(s string) []*dotenv.Error { _, _, f := dotenv.Parse(s, lookup); return f },
		"ParseRaw": func(s string) []*dotenv.Error { _, f := dotenv.ParseRaw(s, lookup); return f },
	} {
		faults := parse(strings.Repeat("=\n", 100_000))
		if len(faults) != 1000 || !strings.Contains(faults[999].Message, "the rest of the file is not read") || faults[999].Line != 1000 {
			t.Errorf("%s: %d faults, the last %v", name, len(faults), faults[len(faults)-1])
		}
	}
}

func TestParseRaw(t *testing.T) {
	entries, err := dotenv.ParseRaw("\ufeff  A=\"q\" # x \n#c\n\nHOST\nNONE\nB=$HOST=1\nC=\n", lookup)
	if want := `A="\"q\" # x " HOST="h" B="$HOST=1" C=""`; len(err) > 0 || show(entries) != want {
		t.Errorf("ParseRaw = %s, %v; expected %s", show(entries), err, want)
	}
	entries, err = dotenv.ParseRaw("=x\nA=1\nA B=x\nC=2", lookup)
	if len(err) != 2 || err[0].Line != 1 || err[1].Line != 3 || show(entries) != `A="1" C="2"` {
		t.Errorf("faults %v, entries %s", err, show(entries))
	}
}

// FuzzParse: both grammars end, and every entry has a name and the place of a line.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"A=1", "export A: \"x\\n\" B='y'", "A=${B:-$C}", "#", "A", "\ufeff", "A=\n", "A=\"\\", "A=#\n\n="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		entries, _, faults := dotenv.Parse(s, lookup)
		raw, more := dotenv.ParseRaw(s, lookup)
		lines := strings.Count(s, "\n") + 1
		for _, err := range append(faults, more...) {
			if err.Line < 1 || err.Line > lines {
				t.Fatalf("Parse(%q): fault on line %d", s, err.Line)
			}
		}
		for _, e := range append(entries, raw...) {
			if e.Key == "" || e.Line < 1 || e.Line > lines {
				t.Fatalf("Parse(%q): %+v", s, e)
			}
		}
	})
}
