package containers

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestEscape: what is typed goes on but for the keys by which one leaves, however it is cut.
func TestEscape(t *testing.T) {
	for text, want := range map[string]struct {
		text string
		left bool
	}{
		"abc": {"abc", false}, "ab\x10\x11cd": {"ab", true}, "\x10x": {"\x10x", false}, "\x10\x10\x11": {"\x10", true}, "a\x10": {"a\x10", false}, "": {"", false}, "\x11\x10y\x10\x11": {"\x11\x10y", true},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "by bytes": iotest.OneByteReader(strings.NewReader(text))} {
			left := false
			keys, err := detachKeys("")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(escapable(r, keys, func() { left = true }))
			if err != nil || string(got) != want.text || left != want.left {
				t.Errorf("%q %s: %q, left %v, %v", text, name, got, left, err)
			}
		}
	}
}

func TestDetachKeys(t *testing.T) {
	for text, want := range map[string]string{"": "\x10\x11", "ctrl-a": "\x01", "a,b": "ab", "ctrl-@,ctrl-_": "\x00\x1f", "ctrl-\\": "\x1c", ",": ","} {
		if got, err := detachKeys(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"ctrl-A", "alt-a", "ab", "ctrl-"} {
		if _, err := detachKeys(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestTopColumns(t *testing.T) {
	for args, want := range map[string]string{"": "UID PID PPID C STIME TTY TIME CMD", "-ef": "UID PID PPID C STIME TTY TIME CMD", "aux": "USER PID %CPU TTY STAT START TIME COMMAND", "-o pid,comm": "PID COMMAND", "-opid -o=ppid": "PID PPID"} {
		all, err := topColumns(args)
		var titles []string
		for _, c := range all {
			titles = append(titles, c.title)
		}
		if err != nil || strings.Join(titles, " ") != want {
			t.Errorf("%q: %v, %v", args, titles, err)
		}
	}
	for _, args := range []string{"-x", "-o", "-o nosuch", "--sort pid"} {
		if _, err := topColumns(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if full[0] != "user" || columns["user"].title != "USER" {
		t.Error("the table was changed")
	}
}
