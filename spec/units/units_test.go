package units_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stackrun/stack/spec/units"
)

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond, "1d": 24 * time.Hour,
		"2w": 14 * 24 * time.Hour, "500ms": 500 * time.Millisecond, "30us": 30 * time.Microsecond, "0": 0, "0s": 0,
		"1h5m30s20ms": time.Hour + 5*time.Minute + 30*time.Second + 20*time.Millisecond,
	} {
		if got, err := units.Duration(in); err != nil || got != want {
			t.Errorf("Duration(%q) = %v, %v; expected %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "10", "s", "1x", "-1s", "1 s", "1..5s", "1e3s", "99999999999999w", "10s5"} {
		if got, err := units.Duration(in); err == nil {
			t.Errorf("Duration(%q) = %v, expected an error", in, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"1": 1, "1b": 1, "1k": 1 << 10, "1KB": 1 << 10, "1kib": 1 << 10, "512m": 512 << 20, "1.5gb": 3 << 29, "2g": 2 << 30,
		"1t": 1 << 40, "1p": 1 << 50, "64 mb": 64 << 20, "0": 0, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := units.Bytes(in); err != nil || got != want {
			t.Errorf("Bytes(%q) = %v, %v; expected %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "m", "1x", "-1", "1.2.3k", "9999999999p", "9223372036854775808", "1  m"} {
		if got, err := units.Bytes(in); err == nil {
			t.Errorf("Bytes(%q) = %v, expected an error", in, got)
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                             {},
		"a b  c":                       {"a", "b", "c"},
		`a "b c" 'd e'`:                {"a", "b c", "d e"},
		`a\ b c\"d`:                    {"a b", `c"d`},
		`"a \"b\" 'c'" '\n'`:           {`a "b" 'c'`, `\n`},
		`'' ""`:                        {"", ""},
		`a"b"'c'`:                      {"abc"},
		`sh -c "echo $HOME && true"`:   {"sh", "-c", "echo $HOME && true"},
		"line\\\ntwo":                  {"line\ntwo"},
		"echo a$(ls \"b\" | (c) \\n)d": {"echo", "a$(ls \"b\" | (c) \\n)d"},
		"echo `ls 'b'; c \\` `d":       {"echo", "`ls 'b'; c \\` `d"},
		`"$(a b)" (c d)`:               {"$(a b)", "(c", "d)"},
	} {
		if got, err := units.Words(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("Words(%q) = %q, %v; expected %q", in, got, err, want)
		}
	}
	for _, in := range []string{`a "b`, `a 'b`, `a\`, "a `b", "a $(b", "a $(b (c)"} {
		if got, err := units.Words(in); err == nil {
			t.Errorf("Words(%q) = %q, expected an error", in, got)
		}
	}
	for in, want := range map[string]struct {
		words   []string
		dropped string
	}{
		"a b && c": {[]string{"a", "b"}, "&& c"},
		"a b2>c":   {[]string{"a", "b2"}, ">c"},
		"a b 2>&1": {[]string{"a", "b"}, "2>&1"}, // the number is the redirection's
		"a 2|b":    {[]string{"a", "2"}, "|b"},
	} {
		got, err := units.Words(in)
		cut, ok := errors.AsType[*units.ErrTruncated](err)
		if !ok || cut.Dropped != want.dropped || !slices.Equal(got, want.words) {
			t.Errorf("Words(%q) = %q, %v; expected %q, and %q dropped", in, got, err, want.words, want.dropped)
		}
	}
}

func FuzzDuration(f *testing.F) {
	f.Add("1h30m")
	f.Add("1.5s")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := units.Duration(s); err == nil && d < 0 {
			t.Fatalf("Duration(%q) = %v", s, d)
		}
	})
}

func FuzzBytes(f *testing.F) {
	f.Add("1.5gb")
	f.Add("64 kib")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := units.Bytes(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("Bytes(%q) = %d", s, n)
		}
		if back, err := units.Bytes(format(n)); err != nil || back != n {
			t.Fatalf("Bytes(format(%d)) = %d, %v", n, back, err)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add(`a "b c" 'd' e\ f`)
	f.Add("a && b")
	f.Fuzz(func(t *testing.T, s string) {
		words, err := units.Words(s)
		if err == nil && words == nil {
			t.Fatalf("Words(%q) is nil: that means the image's command", s)
		}
	})
}

// format is n with the largest unit that divides it.
func format(n int64) string {
	for _, u := range []struct {
		name  string
		shift int
	}{{"t", 40}, {"g", 30}, {"m", 20}, {"k", 10}} {
		if n != 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
