package output

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/logs"
)

// written makes a log of lines "MS STREAM TAG TEXT", MS being milliseconds.
func written(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, line := range lines {
		var ms int
		var stream, tag string
		fmt.Sscan(line, &ms, &stream, &tag) //nolint:errcheck // seen below
		_, text, ok := strings.Cut(line, " "+tag+" ")
		if !ok {
			t.Fatalf("no line: %q", line)
		}
		fmt.Fprintf(f, "%s %s %s %s\n", time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339Nano), stream, tag, text)
	}
}

// sieved are the texts that a sieve for o lets through.
func sieved(t *testing.T, s *sieve, path string, o logs.Options) []string {
	t.Helper()
	var got []string
	if err := s.read(t.Context(), path, o, func(e logs.Entry) error {
		got = append(got, string(e.Line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func sieveOf(t *testing.T, o ask.LogOptions) *sieve {
	t.Helper()
	c, err := chosen(o)
	if err != nil {
		t.Fatal(err)
	}
	return newSieve(c)
}

// TestSieve: whole lines are let through, however they came, and what belongs to a line with it.
func TestSieve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	written(t, path,
		"1000 stdout F INFO one",
		"1001 stdout P ERROR two, in ",
		"1002 stderr F WARN of the other stream",
		"1003 stdout P three ",
		"1004 stdout F parts",
		"1005 stdout F   at main.go:1",
		"1006 stdout F Caused by: nothing",
		"1500 stdout F GET /",
		"1501 stdout F DEBUG three",
		"1502 stderr F   that says nothing",
		"1503 stdout P FATAL has not ended",
	)
	parts := []string{"ERROR two, in ", "three ", "parts"}
	for _, c := range []struct {
		name string
		o    ask.LogOptions
		tail int
		want []string
	}{
		{"over the parts", ask.LogOptions{Grep: "in three p"}, -1, parts},
		{"without case", ask.LogOptions{Grep: "(?i)Three$"}, -1, []string{"DEBUG three"}},
		{"what follows at once", ask.LogOptions{Level: "error"}, -1, append(parts[:3:3], "  at main.go:1", "Caused by: nothing", "FATAL has not ended")},
		{"or worse", ask.LogOptions{Level: "fatal"}, -1, []string{"FATAL has not ended"}},
		{"of both streams", ask.LogOptions{Level: "warn", Grep: "of|one"}, -1, []string{"WARN of the other stream"}},
		{"the last", ask.LogOptions{Grep: "^[A-Z]+ "}, 2, []string{"DEBUG three", "FATAL has not ended"}},
		{"more than there are", ask.LogOptions{Grep: "one"}, 2, []string{"INFO one"}},
		{"none", ask.LogOptions{Grep: "one"}, 0, nil},
	} {
		if diff := cmp.Diff(c.want, sieved(t, sieveOf(t, c.o), path, logs.Options{Tail: c.tail})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if c, err := chosen(ask.LogOptions{}); c != nil || err != nil {
		t.Errorf("of all lines: %v, %v", c, err)
	}
	for _, o := range []ask.LogOptions{{Grep: "["}, {Level: "loud"}} {
		if _, err := chosen(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestSieveGoesOn: a second reading that begins with the last line that was let through knows what the first did.
func TestSieveGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := sieveOf(t, ask.LogOptions{Level: "error"})
	written(t, path, "1000 stdout F ERROR one", "1001 stdout F   two", "1002 stderr P ERROR thr")
	if diff := cmp.Diff([]string{"ERROR one", "  two", "ERROR thr"}, sieved(t, s, path, logs.Options{Tail: -1})); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	written(t, path, "1003 stderr F ee", "1004 stdout F   four", "1005 stderr F INFO five")
	if diff := cmp.Diff([]string{"  two", "ERROR thr", "ee", "  four"}, sieved(t, s, path, logs.Options{Tail: -1, Since: time.UnixMilli(1001)})); diff != "" {
		t.Errorf("then (-want +got):\n%s", diff)
	}
	if s.silent() {
		t.Error("lines with a level are said to have none")
	}
}
