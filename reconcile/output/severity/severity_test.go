package severity

import (
	"strings"
	"testing"
)

// TestOf: as programs of many kinds write it.
func TestOf(t *testing.T) {
	for line, want := range map[string]Level{
		``: None, ` `: None, "hello, world": None, "listening on port 8080": None,
		"GET /info HTTP/1.1": None, "an error of no importance": None, "log: nothing": None, "the log: nothing": None,
		`127.0.0.1 - - [30/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 615`: None,
		"  at Error: nothing (main.js:1)":                                     None,
		`{"level":"warn","msg":"x"}`:                                          Warn, `{"msg":"x","severity":"ERROR"}`: Error, `{"level":50,"msg":"x"}`: Error, `{"level":30}`: Info, `{"level":60}`: Fatal, `{"level":1000}`: Fatal, `{"level":3}`: Error, `{"level":8}`: None,
		`{"msg":"level"}`: None, `{"level":"warn"`: None, `{"level":null}`: None, `{"level":"loud"}`: None, `{"level":{}}`: None,
		`{"t":{"$date":"2026-11-30"},"s":"W","c":"NETWORK"}`: Warn, `{"s":"W"}`: None, `{"log":{"level":"debug"}}`: Debug, `{"log.level":"error"}`: Error,
		`time=2026-11-30T08:00:00Z level=INFO msg=ready`: Info, `ts=1 caller=a.go:1 lvl=eror`: None, `ts=1 lvl=error`: Error, `time="x" level="warning", msg=y`: Warn, `a="b c" level=fatal`: Fatal,
		"2026/11/30 08:00:00 INFO ready": Info, "2026/11/30 08:00:00 [error] 7#7: *1 open() failed": Error, "nginx: [emerg] bind() failed": Fatal, "2026/11/30 08:00:00 [notice] 1#1: start": Info,
		"[Mon Nov 30 08:00:00 2026] [core:error] [pid 1] x":  Error,
		"2026-11-30 08:00:00,123 - shop.cart - ERROR - lost": Error, "WARNING:root:low": Warn, "ERROR    conftest:x.py:1 y": Error, "CRITICAL x": Fatal,
		"2026-11-30T08:00:00.000Z  WARN 1 --- [main] o.s.b : x": Warn, "08:00:00.000 [main] DEBUG org.x - y": Debug, "SEVERE: x": Error,
		"2026-11-30 08:00:00.000 UTC [1] LOG:  database system is ready": Info, "2026-11-30 08:00:00.000 UTC [9] FATAL:  role does not exist": Fatal, "LOG the bytes": None,
		"2026-11-30T08:00:00Z 0 [Warning] [MY-010068] x": Warn, "2026-11-30T08:00:00Z 0 [System] [MY-1] ready": Info,
		"1:M 30 Nov 2026 08:00:00.000 # WARNING overcommit":   Warn,
		"1:M 30 Nov 2026 08:00:00.000 * Ready to accept":      Info,
		"E1130 08:00:00.000000       1 main.go:1] x":          Error,
		"E, [2026-11-30T08:00:00.000000 #1] ERROR -- : x":     Error,
		"[2026-11-30 08:00:00] production.ERROR: x {\"a\":1}": Error,
		"<3>x":            Error,
		"<6>x":            Info,
		"Error: x":        Error,
		"npm ERR! x":      Error,
		"npm WARN x":      Warn,
		"error: x":        Error,
		"panic: x":        Fatal,
		"app: warning: x": Warn,
		"a b error: c":    None,
		"an ERROR":        Error,
		"one two three four five six seven ERROR":          None,
		"2026-11-30T08:00:00.000Z\tinfo\tmain.go:1\tready": Info,
		"\x1b[31mERROR\x1b[0m x":                           Error,
		"\x1b[38;5;9m[warn]\x1b[m x":                       Warn,
		"[":                                                None, "<": None, "(": None, ":": None, "=": None, "[]": None, ".": None, "a.:": None,
	} {
		if got := Of([]byte(line)); got != want {
			t.Errorf("%q: got %d, want %d", line, got, want)
		}
	}
}

// TestParse: a level by any name that a program has for it.
func TestParse(t *testing.T) {
	for i, name := range Names {
		if l, err := Parse(name); err != nil || l != Level(i+1) {
			t.Errorf("%s: %d, %v", name, l, err)
		}
	}
	if l, err := Parse("WARNING"); err != nil || l != Warn {
		t.Errorf("WARNING: %d, %v", l, err)
	}
	if _, err := Parse("loud"); err == nil || !strings.Contains(err.Error(), "expected trace, debug, info, warn, error or fatal") {
		t.Errorf("loud: %v", err)
	}
}

// FuzzOf: whatever a program writes is a line.
func FuzzOf(f *testing.F) {
	for _, s := range []string{`{"level":3}`, "<3>", "[a:b]", "1:M 30 Nov 2026 08:00:00.000 # x", "\x1b[31mE", "level=", "a\tb\tc"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if l := Of(line); l < None || l > Fatal {
			t.Errorf("%q: %d", line, l)
		}
	})
}
