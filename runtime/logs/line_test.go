package logs

import (
	"bytes"
	"testing"
	"time"
)

func TestLineRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 999999999, time.UTC)
	for _, test := range []struct {
		entry Entry
		want  string
	}{
		{Entry{at, Stdout, false, []byte("text")}, "2026-01-02T15:04:05.999999999Z stdout F text\n"},
		{Entry{at, Stderr, true, []byte(" two  spaces ")}, "2026-01-02T15:04:05.999999999Z stderr P  two  spaces \n"},
		{Entry{at.Truncate(time.Second), Stdout, false, nil}, "2026-01-02T15:04:05.000000000Z stdout F \n"},
	} {
		got := Append(nil, test.entry)
		if string(got) != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
		back, err := Parse(got[:len(got)-1])
		if err != nil || !back.Time.Equal(test.entry.Time) || back.Stream != test.entry.Stream || back.Partial != test.entry.Partial || !bytes.Equal(back.Line, test.entry.Line) {
			t.Errorf("%q: back as %+v, %v", got, back, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"", "x", "2026-01-02T15:04:05Z", "2026-01-02T15:04:05Z stdout", "2026-01-02T15:04:05Z stdout F",
		"yesterday stdout F x", "2026-01-02T15:04:05Z stdin F x", "2026-01-02T15:04:05Z stdout X x"} {
		if e, err := Parse([]byte(line)); err == nil {
			t.Errorf("%q was taken as %+v", line, e)
		}
	}
	// What other writers of CRI write: trimmed zeros, tags after the first.
	if e, err := Parse([]byte("2026-01-02T15:04:05.5Z stdout P:x y")); err != nil || !e.Partial || string(e.Line) != "y" {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-01-02T15:04:05.999999999Z stdout F text"))
	f.Add([]byte("2026-01-02T15:04:05Z stderr P "))
	f.Add([]byte("   "))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Parse(line)
		if err != nil || bytes.IndexByte(line, '\n') >= 0 || e.Time.UTC().Year() > 9999 || e.Time.UTC().Year() < 0 {
			return
		}
		again, err := Parse(bytes.TrimSuffix(Append(nil, e), []byte{'\n'}))
		if err != nil || !again.Time.Equal(e.Time) || again.Stream != e.Stream || again.Partial != e.Partial || !bytes.Equal(again.Line, e.Line) {
			t.Fatalf("%q: %+v became %+v, %v", line, e, again, err)
		}
	})
}

// The quick way and the thorough one read the same.
func FuzzParseOwn(f *testing.F) {
	for _, stamp := range []string{"2026-01-02T15:04:05.999999999Z", "2024-02-29T23:59:59.000000001Z", "2023-02-29T00:00:00.000000000Z", "2100-02-29T00:00:00.000000000Z",
		"0000-01-01T00:00:00.000000000Z", "1969-12-31T23:59:59.999999999Z", "9999-12-31T23:59:60.000000000Z", "2026-13-01T00:00:00.000000000Z", "2026-01-02T15:04:05.99999999xZ"} {
		for _, rest := range []string{" stdout F text", " stderr P ", " stdout X text", "  stdout F text", " stdout F"} {
			f.Add(stamp + rest)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := parseOwn([]byte(line))
		if !ok {
			return
		}
		want, err := parseCRI([]byte(line))
		if err != nil || !got.Time.Equal(want.Time) || got.Stream != want.Stream || got.Partial != want.Partial || string(got.Line) != string(want.Line) {
			t.Errorf("%q: got %v, want %v %v", line, got, want, err)
		}
	})
}

func TestParseStampIsEveryDay(t *testing.T) {
	for day := time.Date(1, 1, 1, 12, 34, 56, 789, time.UTC); day.Year() < 2500; day = day.AddDate(0, 0, 1) {
		text := day.Format(layout)
		got, ok := parseStamp([]byte(text))
		if !ok || !got.Equal(day) {
			t.Fatalf("%s: got %v %v", text, got, ok)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	line := Append(nil, Entry{Time: time.Now(), Stream: Stdout, Line: make([]byte, 100)})
	line = line[:len(line)-1]
	for b.Loop() {
		if _, err := Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
