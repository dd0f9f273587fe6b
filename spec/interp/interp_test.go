package interp_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/interp"
)

func lookup(name string) (string, bool) {
	v, ok := map[string]string{"A": "1", "E": "", "D": "$A", "LONG_name9": "l"}[name]
	return v, ok
}

func TestExpand(t *testing.T) {
	for _, c := range []struct{ in, want, err, missing string }{
		{"plain", "plain", "", ""},
		{"$A${A}x", "11x", "", ""},
		{"$LONG_name9.", "l.", "", ""},
		{"$D", "$A", "", ""}, // not looked at again
		{"$$A $$$A $$", "$A $1 $", "", ""},
		{"$1 $- $ $", "$1 $- $ $", "", ""},
		{"$N ${N}", " ", "", "N N"},
		{"${A:-d}${E:-d}${N:-d}", "1dd", "", ""},
		{"${A-d}${E-d}${N-d}", "1d", "", ""},
		{"${A:+a}${E:+a}${N:+a}", "a", "", ""},
		{"${A+a}${E+a}${N+a}", "aa", "", ""},
		{"${N:-${E:-${A}}}", "1", "", ""},
		{"${A:+${A}}", "1", "", ""},
		{"${A:-${N}}", "1", "", ""}, // the word is not looked at
		{"${N:-$N2}", "", "", "N2"},
		{`${N:-{"a": {"b": 1}}}`, `{"a": {"b": 1}}`, "", ""},
		{"${N:-a:b-c?d}", "a:b-c?d", "", ""},
		{"${N:?why}", "", "required variable N is missing a value: why", ""},
		{"${E:?$A}", "", "required variable E is missing a value: 1", ""},
		{"${N?}", "", "required variable N is missing a value", ""},
		{"${E?x}", "", "", ""},
		{"${1}", "", "${1} does not name a variable", ""},
		{"${}", "", "${} does not name a variable", ""},
		{"${A/x/y}", "", `${A/x/y}: "/x/y" may not follow the name A`, ""},
		{"${A:x}", "", `${A:x}: ":x" may not follow the name A`, ""},
		{"a ${A", "", "${ has no closing }", ""},
		{"${N:-${}}", "", "${} does not name a variable", ""},
	} {
		got, missing, err := interp.Expand(c.in, lookup)
		msg := ""
		if err != nil {
			msg = err.Message
		}
		var names []string
		for _, m := range missing {
			names = append(names, m.Name)
		}
		if msg != c.err || err == nil && got != c.want || strings.Join(names, " ") != c.missing {
			t.Errorf("Expand(%q) = %q, missing %v, error %q; expected %q, %q, %q", c.in, got, names, msg, c.want, c.missing, c.err)
		}
	}
}

func TestOffsets(t *testing.T) {
	if _, _, err := interp.Expand("ab ${A} ${N:-x ${Q!}}", lookup); err == nil || err.Offset != 15 {
		t.Errorf("error %+v, expected offset 15: that of the inner reference", err)
	}
	if _, missing, _ := interp.Expand("ab ${N:-x $Q}", lookup); len(missing) != 1 || missing[0].Offset != 10 {
		t.Errorf("missing %+v, expected Q at 10", missing)
	}
}

func TestVariables(t *testing.T) {
	var got []string
	for _, v := range interp.Variables("$A ${B:-x${C:?}} $$D ${E:+y} ${1} ${") {
		s := v.Name + "/" + v.Default + "/" + v.Alternate
		if v.Required {
			s += "!"
		}
		got = append(got, s)
	}
	if want := "A// B/x${C:?}/ C//! E//y"; strings.Join(got, " ") != want {
		t.Errorf("got %v, expected %s", got, want)
	}
}

// FuzzExpand: Expand ends, what it refuses has its place inside the text, and
// an escaped text expands to itself.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$A", "${A:-${B:-x}}", "$$", "${", "${A:?${B}}", "${A:-{}}", "a$", "${A+$}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, missing, err := interp.Expand(s, lookup)
		if err != nil && (err.Offset < 0 || err.Offset >= len(s) || s[err.Offset] != '$') {
			t.Fatalf("Expand(%q): error at %d", s, err.Offset)
		}
		for _, m := range missing {
			if !strings.HasPrefix(s[m.Offset:], "$"+m.Name) && !strings.HasPrefix(s[m.Offset:], "${"+m.Name) {
				t.Fatalf("Expand(%q): %s is not at %d", s, m.Name, m.Offset)
			}
		}
		if got, _, err := interp.Expand(interp.Escape(s), lookup); err != nil || got != s {
			t.Fatalf("Expand(Escape(%q)) = %q, %v", s, got, err)
		}
		interp.Variables(s)
	})
}
