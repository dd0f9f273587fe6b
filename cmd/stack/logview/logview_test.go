package logview

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
)

// lines are what a program may write, and what of it a terminal gets.
var lines = []struct{ name, line, want string }{
	{"plain", "hello\tworld\r", "hello\tworld\r"},
	{"colours", "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mrgb", "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mrgb"},
	{"title", "a\x1b]0;owned\x07b", "ab"},
	{"clipboard", "a\x1b]52;c;aGk=\x1b\\b", "ab"},
	{"link", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
	{"DCS", "a\x1bP$q\"p\x1b\\b", "ab"},
	{"APC", "a\x1b_Gf=100;AAAA\x1b\\b", "ab"},
	{"PM", "a\x1b^x\x1b\\b", "ab"},
	{"SOS", "a\x1bXx\x1b\\b", "ab"},
	{"no end", "a\x1b]0;owned", "a"},
	{"ended by another sequence", "a\x1b]0;x\x1b[31mb", "a\x1b[31mb"},
	{"cancelled", "a\x1b]0;x\x18b", "ab"},
	{"string after string", "a\x1b]0;x\x1b]0;y\x07b", "ab"},
	{"escape twice", "a\x1b\x1b]0;x\x07b", "ab"},
	{"control inside", "a\x1b\t]0;x\x07b", "a\tb"},
	{"inside a colour", "a\x1b[3\x1b]0;x\x07b", "a\x1b[3b"},
	{"lone escape at the end", "a\x1b", "a"},
	{"C1 in UTF-8", "a\u009d0;x\u009cb", "ab"},
	{"C1 as a byte", "a\x9d0;x\x9cb", "ab"},
	{"C1 as a byte after a cut character", "\xe2\x80z\x9d0;x\x07b", "\xe2\x80zb"},
	{"C1 after an escape", "a\x1b\x9d0;x\x07b", "ab"},
	{"C1 after C2 twice", "a\xc2\xc2\x9d0;x\x07b", "a\xc2b"},
	{"characters with such bytes", "“quoted” ¶ é ßĐ \U0001f41d ŝ", "“quoted” ¶ é ßĐ \U0001f41d ŝ"},
}

func entry(stream, line string, partial bool) ask.LogEntry {
	return ask.LogEntry{Container: "shop-web-1", Service: "web", Replica: 1, Stream: stream, Line: []byte(line), Partial: partial}
}

func TestTerminalsGetNoControlStrings(t *testing.T) {
	for _, tt := range lines {
		var out, errs bytes.Buffer
		v := New(&out, &errs, Options{NoPrefix: true, OutTerminal: true})
		for _, stream := range []string{"stdout", "stderr"} {
			if err := v.Entry(entry(stream, tt.line, false)); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != tt.want+"\n" {
			t.Errorf("%s: a terminal got %q, want %q", tt.name, out.String(), tt.want)
		}
		if errs.String() != tt.line+"\n" {
			t.Errorf("%s: a pipe got %q, want %q", tt.name, errs.String(), tt.line)
		}
	}
}

// A long line comes in parts, cut anywhere; what stands in the next line is not part of its strings.
func TestControlStringsInParts(t *testing.T) {
	for _, tt := range lines {
		for at := range len(tt.line) + 1 {
			var out bytes.Buffer
			v := New(&out, &out, Options{NoPrefix: true, OutTerminal: true, ErrTerminal: true})
			for _, e := range []ask.LogEntry{entry("stdout", tt.line[:at], true), entry("stdout", tt.line[at:], false), entry("stdout", "next", false)} {
				if err := v.Entry(e); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != tt.want+"\nnext\n" {
				t.Errorf("%s, cut at %d: got %q, want %q", tt.name, at, out.String(), tt.want)
			}
		}
	}
}

func FuzzControls(f *testing.F) {
	for _, tt := range lines {
		f.Add([]byte(tt.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var once, twice bytes.Buffer
		(&controls{}).filter(&once, line)
		(&controls{}).filter(&twice, once.Bytes())
		for _, opener := range []string{"\x1bP", "\x1bX", "\x1b]", "\x1b^", "\x1b_"} {
			if strings.Contains(once.String(), opener) {
				t.Errorf("%q became %q", line, once.String())
			}
		}
		if !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Errorf("%q became %q, and that %q", line, once.String(), twice.String())
		}
	})
}

func TestNoticesGoToStderr(t *testing.T) {
	var out, errs bytes.Buffer
	v := New(&out, &errs, Options{Project: "shop"})
	for _, e := range []ask.LogEntry{
		entry("stdout", "begun", true),
		{Container: "shop-web-1", Service: "web", Replica: 1, Notice: true, Line: []byte("lines are missing")},
		entry("stdout", "a line", false),
	} {
		if err := v.Entry(e); err != nil {
			t.Fatal(err)
		}
	}
	if want := "web-1  | begun\nweb-1  | a line\n"; out.String() != want {
		t.Errorf("stdout %q, want %q", out.String(), want)
	}
	if want := "warning: log of web-1: lines are missing\n"; errs.String() != want {
		t.Errorf("stderr %q, want %q", errs.String(), want)
	}
}

func TestOneStream(t *testing.T) {
	var out, errs bytes.Buffer
	v := New(&out, &errs, Options{Project: "shop", OneStream: true})
	for _, e := range []ask.LogEntry{entry("stdout", "begun", true), entry("stderr", "a fault", false), entry("stdout", "a line", false)} {
		if err := v.Entry(e); err != nil {
			t.Fatal(err)
		}
	}
	if want := "web-1  | begun\nweb-1  | a fault\nweb-1  | a line\n"; out.String() != want || errs.String() != "" {
		t.Errorf("stdout %q, stderr %q, want %q on stdout", out.String(), errs.String(), want)
	}
}

func BenchmarkEntry(b *testing.B) {
	v := New(io.Discard, io.Discard, Options{Project: "shop", Color: true})
	e := entry("stdout", strings.Repeat("x", 100), false)
	for b.Loop() {
		if err := v.Entry(e); err != nil {
			b.Fatal(err)
		}
	}
}
