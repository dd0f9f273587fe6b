package plaintext

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for s, want := range map[string]string{
		"a\nb\tc":              "a b c",
		"a\x1b[2Jb":            "ab",
		"\x1b[1;31mred\x1b[0m": "red",
		"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b": "ab",
		"\x1b(Ba\x1b7":       "a",
		"a\x1b":              "a",
		"a\u009b2Jb\x07\x7f": "a2Jb",
		"日本 é":               "日本 é",
	} {
		if got := OneLine(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestOutput(t *testing.T) {
	for s, want := range map[string]string{
		"a\r\nb\r\n":                "a\nb\n",
		"10%\r100%\r\ndone":         "100%\ndone",
		"\x1b[32mok\x1b[0m\tgo  \n": "ok go\n",
		"a\xffb":                    "a\ufffdb",
	} {
		if got := Output(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// FuzzOutput: nothing is left that a terminal acts on.
func FuzzOutput(f *testing.F) {
	f.Add("\x1b\x1b[[0m\x1b]x\x9b\r\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := Output(s)
		if !utf8.ValidString(out) {
			t.Errorf("%q: no UTF-8: %q", s, out)
		}
		for _, r := range out {
			if r != '\n' && unicode.IsControl(r) {
				t.Errorf("%q: control character in %q", s, out)
			}
		}
	})
}

func TestLines(t *testing.T) {
	var l Lines
	var got []string
	for _, text := range []string{"a\nha", "lf\n", "10%\r20%\r", "30%\n\n", "\x1b[3", "1mred\n", "rest"} {
		l.Write([]byte(text), func(line string) { got = append(got, line) })
	}
	if want := []string{"a", "half", "30%", "", "red"}; !slices.Equal(got, want) || l.Rest() != "rest" {
		t.Errorf("%q and %q, want %q", got, l.Rest(), want)
	}
	for range 10 { // a program may write for ever without the end of a line
		l.Write([]byte(strings.Repeat("x", maxLine)), nil)
	}
	if n := len(l.Rest()); n > maxLine {
		t.Errorf("it keeps %d bytes", n)
	}
}
